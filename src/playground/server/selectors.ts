// Label and field selectors of a list or watch. Label selectors follow the grammar of
// k8s.io/apimachinery/pkg/labels: `a=b`, `a!=b`, `a in (b,c)`, `a notin (b)`, `a`, `!a`. A field
// selector knows only the fields that its kind declares; any other is refused, as the real server
// does.
import { at, nameOf, namespaceOf, textAt, type Json, type JsonObject } from './json.ts';
import { badRequest } from './status.ts';

/** Whether an object is selected. */
export type Predicate = (object: JsonObject) => boolean;

type LabelTerm = {
  readonly key: string;
  readonly operator: 'in' | 'notin' | 'exists' | 'absent';
  readonly values: readonly string[];
};

const everything: Predicate = () => true;
const setTerm = /^\s*([^\s!=,()]+)\s+(in|notin)\s+\(([^)]*)\)\s*$/;
const equalTerm = /^\s*([^\s!=,()]+)\s*(==|=|!=)\s*([^\s!=,()]*)\s*$/;
const presenceTerm = /^\s*(!?)\s*([^\s!=,()]+)\s*$/;

function splitTerms(text: string): readonly string[] {
  const terms: string[] = [];
  let depth = 0;
  let start = 0;
  for (let index = 0; index < text.length; index += 1) {
    const char = text[index];
    if (char === '(') depth += 1;
    if (char === ')') depth -= 1;
    if (char === ',' && depth === 0) {
      terms.push(text.slice(start, index));
      start = index + 1;
    }
  }
  terms.push(text.slice(start));
  return terms.filter((term) => term.trim() !== '');
}

function parseLabelTerm(text: string): LabelTerm {
  const asSet = setTerm.exec(text);
  if (asSet?.[1] !== undefined) {
    const values = (asSet[3] ?? '').split(',').map((value) => value.trim());
    return { key: asSet[1], operator: asSet[2] === 'in' ? 'in' : 'notin', values };
  }
  const asEqual = equalTerm.exec(text);
  if (asEqual?.[1] !== undefined) {
    const operator = asEqual[2] === '!=' ? 'notin' : 'in';
    return { key: asEqual[1], operator, values: [asEqual[3] ?? ''] };
  }
  const asPresence = presenceTerm.exec(text);
  if (asPresence?.[2] !== undefined) {
    return {
      key: asPresence[2],
      operator: asPresence[1] === '!' ? 'absent' : 'exists',
      values: [],
    };
  }
  throw badRequest(`unable to parse requirement: ${text}`);
}

function matchesTerm(term: LabelTerm, labels: Json | undefined): boolean {
  const value = textAt(labels, term.key);
  switch (term.operator) {
    case 'in':
      return value !== undefined && term.values.includes(value);
    case 'notin':
      return value === undefined || !term.values.includes(value);
    case 'exists':
      return value !== undefined;
    case 'absent':
      return value === undefined;
  }
}

/** The predicate of `labelSelector=`; absent or empty selects everything. */
export function labelPredicate(text: string | null): Predicate {
  if (text === null || text.trim() === '') return everything;
  const terms = splitTerms(text).map(parseLabelTerm);
  return (object) => {
    const labels = at(object, 'metadata', 'labels');
    return terms.every((term) => matchesTerm(term, labels));
  };
}

/** The predicate of a `matchLabels`-like selector, as Services and ReplicaSets have. */
export function matchesAll(selector: JsonObject, labels: JsonObject): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value);
}

/** What a field selector compares: the text of a scalar, empty where the field is not set. */
function fieldText(object: JsonObject, path: string): string {
  if (path === 'metadata.name') return nameOf(object);
  if (path === 'metadata.namespace') return namespaceOf(object);
  const value = at(object, ...path.split('.'));
  return value === undefined || value === null || typeof value === 'object' ? '' : String(value);
}

/**
 * The predicate of `fieldSelector=`; `known` are the kind's own fields besides name and namespace.
 */
export function fieldPredicate(text: string | null, known: readonly string[]): Predicate {
  if (text === null || text.trim() === '') return everything;
  const terms = text.split(',').map((term) => {
    const parts = /^\s*([^\s!=]+)\s*(==|=|!=)\s*(.*?)\s*$/.exec(term);
    const path = parts?.[1];
    if (path === undefined)
      throw badRequest(`invalid selector: '${text}'; can't understand '${term}'`);
    if (path !== 'metadata.name' && path !== 'metadata.namespace' && !known.includes(path)) {
      throw badRequest(`field label not supported: ${path}`);
    }
    return { path, isNegated: parts?.[2] === '!=', value: parts?.[3] ?? '' };
  });
  return (object) =>
    terms.every((term) => (fieldText(object, term.path) === term.value) !== term.isNegated);
}
