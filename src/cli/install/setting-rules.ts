// Rules of the admission policy about labels and annotations of Services and Namespaces, made from
// the table of settings: key, values and message are those that the mesh itself goes by. Only what
// is new or changed is judged: whoever changes something else on an old object is not stopped.
import { meshLabel, settingTable } from '../../api/index.ts';
import { settingPatterns, type SettingName } from './setting-patterns.ts';

/** A rule in CEL; `message` stands for `detail` where that gives no text. */
export type AdmissionRule = {
  readonly expression: string;
  readonly message: string;
  /** CEL, for a message that quotes the object. */
  readonly detail?: string;
};

export type AdmissionVariable = { readonly name: string; readonly expression: string };

const ours = 'weft.dev/';
const perPort = `${ours}traffic-type.`;

// The table has these keys and no others; its type says so.
const names = Object.keys(settingTable) as readonly SettingName[];

/** Literals of CEL have the escapes of JSON. */
const literal = (text: string): string => JSON.stringify(text);

/** A list of literals. */
function literals(texts: readonly string[]): string {
  return `[${texts.map(literal).join(', ')}]`;
}

const isMetadataKind = 'request.kind.group == "" && request.kind.kind in ["Service", "Namespace"]';

/** What the rules below speak of. */
export const settingVariables: readonly AdmissionVariable[] = [
  { name: 'annotations', expression: 'object.metadata.?annotations.orValue({})' },
  {
    name: 'annotationsBefore',
    expression: 'oldObject == null ? {} : oldObject.metadata.?annotations.orValue({})',
  },
  {
    name: 'written',
    expression:
      `!(${isMetadataKind}) ? [] : ` +
      `variables.annotations.filter(key, key.startsWith(${literal(ours)}) && ` +
      '(!(key in variables.annotationsBefore) || ' +
      'variables.annotationsBefore[key] != variables.annotations[key]))',
  },
  {
    name: 'unknown',
    expression:
      `variables.written.filter(key, !(key in ${literals(knownKeys())}) && ` +
      `!key.startsWith(${literal(perPort)}))`,
  },
  {
    name: 'perPort',
    expression: `variables.written.filter(key, key.startsWith(${literal(perPort)}))`,
  },
  {
    name: 'strayPorts',
    expression:
      'request.kind.kind != "Service" ? [] : variables.perPort.filter(key, ' +
      '!object.spec.?ports.orValue([]).exists(port, ' +
      `port.?name.orValue("") == key.substring(${perPort.length}) || ` +
      `string(port.port) == key.substring(${perPort.length})))`,
  },
];

/** Spellings below our own prefix. Those of Maesh may be meant for Maesh. */
function ownKeys(name: SettingName): readonly string[] {
  return settingTable[name].spellings.map(({ key }) => key).filter((key) => key.startsWith(ours));
}

function knownKeys(): readonly string[] {
  return names.flatMap(ownKeys);
}

export function settingRules(): readonly AdmissionRule[] {
  return [
    {
      expression: 'size(variables.unknown) == 0',
      message: `an annotation ${ours}… is not known: check its spelling`,
      detail: '"annotation " + variables.unknown[0] + " is not known: check its spelling"',
    },
    ...names.flatMap((name) => ownKeys(name).map((key) => valueRule(name, key))),
    ...names.filter((name) => settingTable[name].on === 'namespace').flatMap(placeRules),
    portValueRule(),
    {
      expression: 'size(variables.strayPorts) == 0',
      message: `annotation ${perPort}… names a port that the Service does not have`,
      detail:
        '"annotation " + variables.strayPorts[0] + ' +
        '" names a port that the Service does not have"',
    },
    labelRule(),
  ];
}

function valueRule(name: SettingName, key: string): AdmissionRule {
  const value = `variables.annotations[${literal(key)}]`;
  const { values } = settingTable[name];
  return {
    expression: `!(${literal(key)} in variables.written) || ${fits(value, settingPatterns[name])}`,
    message: `annotation ${key}: write ${values}`,
    detail: `${literal(`annotation ${key} is "`)} + ${value} + ${literal(`": write ${values}`)}`,
  };
}

/** No text of an annotation that we know is longer: matching has a cost. */
const valueLengthMax = 2048;

function fits(value: string, pattern: string): string {
  const whole = literal(`^\\s*(?:${pattern})\\s*$`);
  return `(size(${value}) <= ${valueLengthMax} && ${value}.matches(${whole}))`;
}

function placeRules(name: SettingName): readonly AdmissionRule[] {
  return ownKeys(name).map((key) => ({
    expression: `request.kind.kind == "Namespace" || !(${literal(key)} in variables.written)`,
    message: `annotation ${key} belongs on the Namespace: move it there`,
  }));
}

function portValueRule(): AdmissionRule {
  const { values } = settingTable.trafficType;
  const isRight = fits('variables.annotations[key]', settingPatterns.trafficType);
  return {
    expression: `variables.perPort.all(key, ${isRight})`,
    message: `annotations ${perPort}…: write ${values}`,
  };
}

function labelRule(): AdmissionRule {
  const key = literal(meshLabel);
  const label = `object.metadata.?labels[?${key}].orValue("")`;
  const before = `oldObject.metadata.?labels[?${key}].orValue("")`;
  return {
    expression:
      `!(${isMetadataKind}) || ${label} in ["", "enabled", "disabled"] || ` +
      `(oldObject != null && ${before} == ${label})`,
    message: `label ${meshLabel}: write enabled or disabled`,
    detail: [
      literal(`label ${meshLabel} is "`), label, literal('": write enabled or disabled'),
    ].join(' + '),
  };
}
