// smi/conformance.md as data: what the specification says, the rule that it became here, and –
// found by the rule's number in their titles – the tests that hold us to it. The page is
// generated; a test compares it with this.
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

type Sentence = {
  /** What the specification says, in our words; empty where it is silent and users disagree. */
  readonly says: string;
  readonly rule: string;
  /** What weft does. */
  readonly does: string;
};

type Chapter = { readonly title: string; readonly sentences: readonly Sentence[] };

export const chapters: readonly Chapter[] = [
  {
    title: 'TrafficTarget',
    sentences: [
      {
        says: 'The destination identity is a service account; its namespace may be left out.',
        rule: 'R-2',
        does: 'without a namespace, that of the target',
      },
      {
        says: 'Who may open a destination is limited by who may use its service account.',
        rule: 'R-3',
        does: 'a destination in another namespace is ignored: `ForeignDestination`',
      },
      {
        says: 'Sources are identities; their namespace may be left out.',
        rule: 'R-4',
        does: 'without a namespace, that of the target: `NamespaceDefaulted`',
      },
      {
        says: 'Rules reference route objects by kind and name.',
        rule: 'R-5',
        does: 'looked up in the namespace of the target alone',
      },
      {
        says: 'A valid target has at least one rule (v1alpha3); older versions do not demand it.',
        rule: 'R-6',
        does: 'key absent: every route; empty list: nothing, `NoRules`',
      },
      {
        says: 'A rule without `matches` means all matches of the group.',
        rule: 'R-7',
        does: 'so it does',
      },
      {
        says: '',
        rule: 'R-8',
        does: 'what a rule names and is missing is skipped alone, never widens: `UnresolvedRoute`',
      },
      {
        says: 'A TCPRoute beside an HTTPRouteGroup narrows the port of the HTTP rule.',
        rule: 'R-9',
        does: 'ports of all TCPRoutes of the target together narrow its HTTP, and open raw TCP',
      },
      {
        says: '',
        rule: 'R-10',
        does: 'TCPRoutes alone open all HTTP on their ports',
      },
      {
        says: 'A route that no rule covers is denied.',
        rule: 'R-11',
        does: 'HTTPRouteGroups alone open no raw TCP',
      },
      {
        says: 'Access is additive: there are only rules that allow, and any that allows is enough.',
        rule: 'R-12',
        does: 'all targets of a destination are looked at, never the first that matches',
      },
      {
        says: 'The destination selects pods, not Services.',
        rule: 'R-13',
        does: 'ports are those of the pod; a Service port instead is `ServicePortNamed`',
      },
      {
        says: '',
        rule: 'R-14',
        does: '403 with a reason for source and route alike; raw TCP is reset',
      },
      {
        says: 'Everything is denied by default.',
        rule: 'R-15',
        does: '`off`, `audit`, `enforce`, for the mesh and per namespace of the pod',
      },
      {
        says: '',
        rule: 'R-16',
        does: 'node addresses are nobody: open without policy, 403 `SourceUnknown` under `enforce`',
      },
      {
        says: 'Control is always enforced on the side of the destination.',
        rule: 'R-17',
        does: 'callers are known by the pod behind their address on their node; no header counts',
      },
      {
        says: '`destination.port` (v1alpha1, v1alpha2) limits a target to one port.',
        rule: 'R-44',
        does: 'narrows in whatever version it is read; no port voids the target',
      },
    ],
  },
  {
    title: 'HTTPRouteGroup',
    sentences: [
      {
        says: '`headers` is a list of objects in the schema, an object in the text.',
        rule: 'R-18',
        does: 'both are read',
      },
      {
        says: '`matches` stands at the root in v1alpha1 and v1alpha2, below `spec` later.',
        rule: 'R-19',
        does: 'read wherever it stands; at the root of a new version `MatchesOnRoot`',
      },
      {
        says: 'The path is a regular expression.',
        rule: 'R-20',
        does: 'anchored at its start only: `^(?:pattern)`',
      },
      {
        says: 'The URI is matched.',
        rule: 'R-21',
        does: 'the path without query, byte for byte; no path pattern opens an encoded slash',
      },
      {
        says: 'Header values are regular expressions.',
        rule: 'R-22',
        does: 'searched anywhere in the value',
      },
      { says: '', rule: 'R-23', does: 'header names in any case; `host` is the authority' },
      { says: '', rule: 'R-24', does: 'an absent header matches nothing, not even `.*`' },
      { says: '', rule: 'R-25', does: 'any value of a repeated header, or all joined by commas' },
      {
        says: 'A match with neither path nor methods applies its header filters to everything.',
        rule: 'R-26',
        does: 'a match without conditions matches everything',
      },
      {
        says: '`*` stands for every method.',
        rule: 'R-27',
        does: 'so does an empty list; other names compare as they are written',
      },
      { says: '', rule: 'R-28', does: 'a group without matches matches nothing' },
      {
        says: '',
        rule: 'R-29',
        does: 'a match with a bad pattern is dropped alone: `InvalidPattern`',
      },
      { says: '', rule: 'R-30', does: 'RE2 in linear time; no back-references, no look-around' },
    ],
  },
  {
    title: 'TrafficSplit',
    sentences: [
      {
        says: 'There are v1alpha1 to v1alpha4; clients write v1alpha1 to v1alpha3.',
        rule: 'R-1',
        does: 'every version of every kind is served at once',
      },
      {
        says: '`spec.service` is the name that applications call.',
        rule: 'R-31',
        does: 'a Service of its namespace in every spelling, else an alias for Host alone',
      },
      {
        says: 'A split is not self-referential.',
        rule: 'R-32',
        does: 'the root may be its own backend, as Argo Rollouts writes it',
      },
      {
        says: 'Splits are not hierarchical.',
        rule: 'R-33',
        does: 'the split of a backend is not followed, so cycles harm nobody',
      },
      {
        says: '`matches` are whole HTTPRouteGroups, merged; what matches none goes to the root.',
        rule: 'R-34',
        does: 'splits with matches by age, then the oldest without; the others are `Conflict`',
      },
      {
        says: 'Weight 0 gets nothing.',
        rule: 'R-35',
        does: 'all zero: 503 `NoBackendWeight`, never the root',
      },
      {
        says: 'A backend without the root’s port takes no part; it may not exist yet.',
        rule: 'R-36',
        does: 'left out, the others keep their ratio; none left: the root itself',
      },
      {
        says: '',
        rule: 'R-37',
        does: 'a backend without ready endpoints keeps its share: 503 `NoEndpoints`',
      },
      {
        says: 'Weights are whole numbers (v1alpha2 and later).',
        rule: 'R-38',
        does: 'negative: the split is void; fractional: rounded down, `WeightRounded`',
      },
      {
        says: 'Outgoing traffic is split, whatever its protocol.',
        rule: 'R-39',
        does: 'TCP per connection; a split with matches is for HTTP alone',
      },
      { says: '', rule: 'R-40', does: 'the Host towards the backend is what the client sent' },
      { says: '', rule: 'R-41', does: 'the chosen pod alone decides about access' },
      {
        says: 'The root’s selector is not spoken of.',
        rule: 'R-42',
        does: 'a root needs neither selector nor endpoints',
      },
      {
        says: '',
        rule: 'R-43',
        does: 'headless roots are split by name; without ports they cannot',
      },
      {
        says: 'Weights are quantities in v1alpha1, numbers later; they are relative.',
        rule: 'R-45',
        does: 'read in both spellings under every version, their ratio exact',
      },
      {
        says: 'v1alpha1 and v1alpha2 know no `matches`.',
        rule: 'R-46',
        does: 'a PATCH by a client of theirs keeps them; one that drops them: `MatchesDropped`',
      },
    ],
  },
];

export type TestTitle = { readonly file: string; readonly title: string };

/** Titles of tests that name a rule, from golden files and test files below `root`. */
export function ruleTests(root: string): readonly TestTitle[] {
  const files = ['src', 'test']
    .flatMap((folder) => readdirSync(join(root, folder), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && /(\.test|-suite)\.ts$|golden$/.test(markOf(entry)))
    .filter(({ name }) => name !== 'conformance.test.ts')
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll('\\', '/'));
  return files.sort().flatMap((file) => {
    const text = readFileSync(join(root, file), 'utf8');
    const pattern = file.endsWith('.md')
      ? /^# (.*R-\d+.*)$/gm
      : /^\s*(?:describe|test)(?:\.\w+)?\b.*?['`](.*?R-\d+.*?)['`],/gm;
    return [...text.matchAll(pattern)].map((found) => ({ file, title: found[1] ?? '' }));
  });
}

/** A golden file is Markdown in a folder of that name; anything else is told by its own name. */
function markOf(entry: { readonly name: string; readonly parentPath: string }): string {
  return entry.name.endsWith('.md') ? entry.parentPath : entry.name;
}

/** Golden cases and laws whose title names `rule`; unit tests only where there are none. */
export function testsOf(rule: string, tests: readonly TestTitle[]): readonly TestTitle[] {
  const found = tests.filter(({ title }) => new RegExp(`${rule}(?![0-9])`).test(title));
  const proving = found.filter(({ file }) => !file.startsWith('src/'));
  return proving.length > 0 ? proving : found;
}

/** The text of smi/conformance.md. */
export function renderConformance(root: string): string {
  const tests = ruleTests(root);
  const parts = chapters.map(
    ({ title, sentences }) =>
      `## ${title}\n\n| the specification says | rule | weft | tests |\n|---|---|---|---|\n` +
      sentences.map((sentence) => row(sentence, tests)).join(''),
  );
  return `${preface}\n${parts.join('\n')}`;
}

const preface = `# Conformance with SMI

Generated by \`scripts/conformance.ts\` from \`test/support/conformance.ts\` and the titles of the
tests; do not edit. An empty first column marks what the specification leaves open and the meshes
before us answered differently.
`;

function row({ says, rule, does }: Sentence, tests: readonly TestTitle[]): string {
  const cells = testsOf(rule, tests).map(({ file, title }) => `${title} (\`${file}\`)`);
  return `| ${says} | ${rule} | ${does} | ${cells.join('<br>').replaceAll('|', '\\|')} |\n`;
}
