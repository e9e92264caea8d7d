// What the fields of one head mean to a proxy, gathered in one pass: Connection (RFC 9110 section
// 7.6.1), framing fields, Host, Upgrade, Expect. It only gathers; which combinations are refused is
// said by framing.ts, request-head.ts and response-head.ts.
import { isToken, trimWhitespace } from './bytes.ts';
import { field } from './field-names.ts';
import type { Fields } from './fields.ts';

export type FieldFacts = {
  readonly hostCount: number;
  readonly host: string;
  readonly contentLengthCount: number;
  readonly contentLength: string;
  readonly transferEncodingCount: number;
  readonly transferEncoding: string;
  readonly closes: boolean;
  readonly keepsAlive: boolean;
  /** Connection says `upgrade`. */
  readonly asksUpgrade: boolean;
  /** Members of all Upgrade fields, joined; empty when there are none. */
  readonly upgrade: string;
  readonly expect: string;
  readonly maxForwards: string | undefined;
  /** Other names that Connection lists, lower case. */
  readonly nominated: ReadonlySet<string>;
};

type Gathering = { -readonly [K in Exclude<keyof FieldFacts, 'nominated'>]: FieldFacts[K] } & {
  nominated: Set<string>;
};

/** The facts of one head. */
export function gatherFacts(fields: Fields): FieldFacts {
  const facts: Gathering = {
    hostCount: 0,
    host: '',
    contentLengthCount: 0,
    contentLength: '',
    transferEncodingCount: 0,
    transferEncoding: '',
    closes: false,
    keepsAlive: false,
    asksUpgrade: false,
    upgrade: '',
    expect: '',
    maxForwards: undefined,
    nominated: noNames,
  };
  for (let index = 0; index < fields.size; index += 1) {
    const known = fields.knownAt(index);
    if (known !== 0 && known <= lastFact) gatherField(facts, known, fields.valueAt(index));
  }
  return facts;
}

/** Never added to. */
const noNames = new Set<string>([]);
/** The fields of interest have the lowest numbers. */
const lastFact = field.maxForwards;

function gatherField(facts: Gathering, known: number, value: string): void {
  switch (known) {
    case field.host:
      facts.hostCount += 1;
      facts.host = value;
      break;
    case field.contentLength:
      facts.contentLengthCount += 1;
      facts.contentLength = value;
      break;
    case field.transferEncoding:
      facts.transferEncodingCount += 1;
      facts.transferEncoding = value;
      break;
    case field.connection:
      gatherConnection(facts, value);
      break;
    case field.upgrade:
      facts.upgrade = facts.upgrade === '' ? value : `${facts.upgrade}, ${value}`;
      break;
    case field.expect:
      facts.expect = facts.expect === '' ? value : `${facts.expect}, ${value}`;
      break;
    case field.maxForwards:
      facts.maxForwards = value;
      break;
    default:
  }
}

/**
 * Fields that Connection cannot strip: without them the next reader sees another host, another
 * message end or another loop count, or waits for a 100 that nobody was asked for.
 */
const unstrippable: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'expect',
  'via',
  'max-forwards',
]);

function gatherConnection(facts: Gathering, value: string): void {
  // The common values, without a string per member.
  if (value === 'keep-alive') facts.keepsAlive = true;
  else if (value === 'close') facts.closes = true;
  else gatherOptions(facts, value);
}

function gatherOptions(facts: Gathering, value: string): void {
  for (const member of value.toLowerCase().split(',')) {
    const option = trimWhitespace(member);
    if (option === 'close') facts.closes = true;
    else if (option === 'keep-alive') facts.keepsAlive = true;
    else if (option === 'upgrade') facts.asksUpgrade = true;
    else if (isToken(option) && !unstrippable.has(option)) {
      // A set: a head may list thousands of names, and each field is looked up among them.
      if (facts.nominated === noNames) facts.nominated = new Set();
      facts.nominated.add(option);
    }
  }
}
