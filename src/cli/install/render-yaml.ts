// Manifests → YAML that kubectl and Helm read, with the remarks as comments. YAML 1.1 is what they
// read: a plain `off` or `0755` would be false or a number there, so such texts are quoted.
import { Document, isMap, isScalar, isSeq, type Node } from 'yaml';
import type { Json } from './json.ts';
import { objectOf, type Manifest, type Remark } from './manifest.ts';

export function renderYaml(manifests: readonly Manifest[]): string {
  return manifests.map((one) => `---\n${renderOne(one)}`).join('');
}

function renderOne(one: Manifest): string {
  return renderDocument(objectOf(one), one.remarks);
}

/** Any value, with comments. */
export function renderDocument(value: Json, remarks: readonly Remark[]): string {
  const document = new Document(value, { version: '1.1', aliasDuplicateObjects: false });
  for (const remark of remarks) comment(document, remark);
  return document.toString({ lineWidth: 0, directives: false });
}

const columnsMax = 96;

function comment(document: Document, { path, text }: Remark): void {
  const last = path.at(-1);
  const parent = document.getIn(path.slice(0, -1), true);
  const lines = wrapped(text, columnsMax - 2 * path.length);
  if (isSeq(parent) && typeof last === 'number') {
    // Items of a sequence are nodes in a document that was made from JSON.
    (parent.items[last] as Node).commentBefore = lines;
  } else if (isMap(parent)) {
    const pair = parent.items.find(({ key }) => isScalar(key) && key.value === last);
    if (isScalar(pair?.key)) pair.key.commentBefore = lines;
  }
}

/** In lines of at most so many columns, each with the blank that follows `#`. */
function wrapped(text: string, columns: number): string {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const current = lines.at(-1);
    if (current === undefined || current.length + word.length >= columns) lines.push(` ${word}`);
    else lines[lines.length - 1] = `${current} ${word}`;
  }
  return lines.join('\n');
}
