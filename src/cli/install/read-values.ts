// What a user said → values: defaults, overlaid by a file, by `--set path=value`, by flags, then
// checked against the schema of the tree. A mistake is one line that says what to write.
import { parse as parseYaml } from 'yaml';
import { structuralSchemas } from '../../api/index.ts';
import { isMap, overlay, type Json, type JsonMap } from './json.ts';
import { completed, initialOf, schemaOf, unknownNames } from './value-tree.ts';
import { valueTree, type InstallValues } from './values.ts';

export type ValuesReading =
  | { readonly kind: 'values'; readonly values: InstallValues }
  | { readonly kind: 'complaint'; readonly complaint: string };

/** Later ones win. */
export function readValues(layers: readonly Json[]): ValuesReading {
  const schema = schemaOf(valueTree);
  const given = layers.reduce(overlay, initialOf(valueTree));
  const [unknown] = unknownNames(schema, given);
  if (unknown !== undefined) return complain(`there is no value ${unknown}`);
  const merged = completed(valueTree, given) ?? null;
  if (!isMap(merged)) return complain('values are a map of names to values');
  const { schema: structural } = structuralSchemas.read(schema);
  const [fault] = structural === undefined ? [] : structuralSchemas.validate(structural, merged);
  if (fault !== undefined) {
    const { field } = fault;
    const message = fault.message.replace(' in body', '');
    return complain(message.includes(field) ? message : `${field}: ${message}`);
  }
  // The schema is made of the tree whose type this is.
  return { kind: 'values', values: merged as unknown as InstallValues };
}

function complain(complaint: string): ValuesReading {
  return { kind: 'complaint', complaint };
}

/** The default values. */
export function initialValues(): InstallValues {
  const reading = readValues([]);
  if (reading.kind === 'values') return reading.values;
  throw new Error(`BUG: the default values are refused: ${reading.complaint}`);
}

/** `proxy.maxSurge=2` as a layer; the value is read as YAML 1.2, so `off` stays a word. */
export function readAssignment(text: string): JsonMap | undefined {
  const at = text.indexOf('=');
  const names = text.slice(0, Math.max(0, at)).split('.');
  if (at < 1 || names.some((name) => name === '')) return undefined;
  return layerAt(names, readText(text.slice(at + 1)));
}

/** A layer with one value. */
export function layerAt(path: readonly string[], value: Json): JsonMap {
  const [name = '', ...rest] = path;
  return { [name]: rest.length === 0 ? value : layerAt(rest, value) };
}

/** A file of values; `undefined` when it is no YAML. */
export function readText(text: string): Json {
  try {
    // Without tags and with the core schema YAML is JSON.
    return (parseYaml(text) as Json | undefined) ?? null;
  } catch {
    // No YAML: the text itself, which the schema will judge.
    return text;
  }
}
