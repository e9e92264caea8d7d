// The JSONPath of printer columns: `.spec.a`, `..a`, `[*]`, `[0]`, `['a.b']`, `['a','b']` and
// `[?(@.type=="x")]`. Nothing else of kubectl's language. An expression that it cannot read selects
// nothing.
import { at, isObject, type Json } from './json.ts';

type Step = (values: readonly Json[]) => readonly Json[];

const stepShape = new RegExp(
  [
    String.raw`^(?:\.([A-Za-z0-9_$/-]+(?:\\\.[A-Za-z0-9_/-]+)*)`,
    String.raw`\[\*\]`,
    String.raw`\[(\d+)\]`,
    String.raw`\['([^']*(?:',\s*'[^']*)*)'\]`,
    String.raw`\[\?\(@\.([\w.]+)\s*==\s*["']([^"']*)["']\)\])`,
  ].join('|'),
);

/** Lists among the values stay lists: flatMap would spread them. */
function present(values: readonly (Json | undefined)[]): readonly Json[] {
  return values.filter((value) => value !== undefined);
}

function field(name: string): Step {
  return (values) => present(values.map((value) => at(value, name)));
}

const each: Step = (values) =>
  values.flatMap((value) =>
    Array.isArray(value) ? value : isObject(value) ? Object.values(value) : [],
  );

function element(index: number): Step {
  return (values) =>
    present(values.map((value) => (Array.isArray(value) ? value[index] : undefined)));
}

function filtered(path: string, wanted: string): Step {
  return (values) =>
    each(values).filter((value) => String(at(value, ...path.split('.')) ?? '') === wanted);
}

function union(steps: readonly Step[]): Step {
  return (values) => steps.flatMap((step) => step(values));
}

/** Values and everything inside them, outside first; JSON that was parsed is not endless. */
const descend: Step = (values) => {
  const found: Json[] = [];
  let level = values;
  while (level.length > 0) {
    found.push(...level);
    level = each(level);
  }
  return found;
};

function stepOf(parts: RegExpExecArray): Step {
  if (parts[1] !== undefined) return field(parts[1].replaceAll('\\.', '.'));
  if (parts[2] !== undefined) return element(Number(parts[2]));
  if (parts[3] !== undefined) return union(parts[3].split(/',\s*'/).map(field));
  if (parts[4] !== undefined) return filtered(parts[4], parts[5] ?? '');
  return each;
}

/** Compiles a path; the reader returns every value that it selects. */
export function pathReader(path: string): (root: Json) => readonly Json[] {
  const steps: Step[] = [];
  let rest = path
    .trim()
    .replace(/^\{|\}$/g, '')
    .replace(/^\$/, '');
  while (rest !== '') {
    if (rest.startsWith('..')) {
      steps.push(descend);
      rest = rest.startsWith('..[') ? rest.slice(2) : rest.slice(1);
    }
    const parts = stepShape.exec(rest);
    if (parts === null) return () => [];
    steps.push(stepOf(parts));
    rest = rest.slice(parts[0].length);
  }
  return (root) => steps.reduce<readonly Json[]>((values, step) => step(values), [root]);
}
