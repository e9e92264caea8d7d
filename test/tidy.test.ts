// The structure and style of the source, as tests: the import table of ARCHITECTURE.md, doors,
// purity, sizes as a ratchet, header comments, words. Each failure names the place and the way out.
// The ratchet lists may only shrink.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readSources, type SourceFacts } from './support/source-tree.ts';

type ModuleRule = { readonly imports: readonly string[]; readonly isPure: boolean };

/** Who may import whom, besides `lib`. Adding a cell needs a design note in docs/design. */
const table: ReadonlyMap<string, ModuleRule> = new Map(
  Object.entries({
    lib: { imports: [], isPure: true },
    api: { imports: [], isPure: true },
    identity: { imports: [], isPure: true },
    snapshot: { imports: ['identity'], isPure: true },
    topology: { imports: ['api', 'identity', 'snapshot'], isPure: true },
    route: { imports: ['snapshot', 'identity'], isPure: true },
    dns: { imports: ['snapshot'], isPure: true },
    telemetry: { imports: [], isPure: false },
    kube: { imports: ['api', 'telemetry'], isPure: false },
    dataplane: { imports: ['route', 'snapshot', 'identity', 'telemetry'], isPure: false },
    proxy: {
      imports: [
        'kube',
        'topology',
        'dataplane',
        'dns',
        'route',
        'snapshot',
        'identity',
        'api',
        'telemetry',
      ],
      isPure: false,
    },
    controller: {
      imports: ['kube', 'topology', 'snapshot', 'identity', 'api', 'dns', 'telemetry'],
      isPure: false,
    },
    playground: { imports: ['api', 'identity', 'kube'], isPure: false },
    cli: {
      imports: [
        'api',
        'identity',
        'snapshot',
        'topology',
        'route',
        'dns',
        'telemetry',
        'kube',
        'proxy',
        'controller',
        'playground',
      ],
      isPure: false,
    },
    main: { imports: ['controller', 'proxy', 'cli', 'playground', 'telemetry'], isPure: false },
  }),
);

/** Doors besides index.ts. */
const secondDoors: ReadonlyMap<string, string> = new Map([
  ['telemetry', 'control.ts'],
  ['identity', 'control.ts'],
  ['proxy', 'worker.ts'],
]);

/** Word → what to say instead (style, vocabulary). */
const bannedWords: readonly (readonly [RegExp, string])[] = [
  [/manager/i, 'name the thing that it keeps: pool, store, allocator'],
  [/helper/i, 'name what it does'],
  [/(^|[^a-z])utils?($|[^a-z])/i, 'name the concept'],
  [/^(handle[A-Z]|handler$|handle$)/, 'accept, answer, apply, decide – what is really done'],
  [/^(process[A-Z])/, 'parse, build, compile, apply – what is really done'],
  [/^(perform[A-Z]|do[A-Z])/, 'the verb itself'],
  [/(common|misc)$/i, 'name the concept'],
  [/whitelist|blacklist/i, 'permission, ejection'],
  [/debounce/i, 'hold-off'],
];

/** Ratchets: path or path#function → today's size. Entries may only shrink and disappear. */
const oversizeFiles: ReadonlyMap<string, number> = new Map([]);
const oversizeFunctions: ReadonlyMap<string, number> = new Map([]);

const sources = readSources(['src', 'scripts', 'test']);
const product = sources.filter((one) => one.path.startsWith('src/') && !isTest(one));
const known = new Set(sources.map((one) => one.path));

function isTest(file: SourceFacts): boolean {
  return file.path.endsWith('.test.ts');
}

function moduleOf(path: string): string {
  return path.split('/')[1] ?? '';
}

describe('import table', () => {
  test('every import between modules follows an arrow of the table', () => {
    const broken: string[] = [];
    for (const file of product) {
      const from = moduleOf(file.path);
      const rule = table.get(from);
      if (rule === undefined) {
        broken.push(`${file.path}: module ${from} is not in the table`);
        continue;
      }
      for (const edge of file.imports) {
        if (!edge.isOurs || !edge.target.startsWith('src/')) continue;
        const to = moduleOf(edge.target);
        if (to === from || to === 'lib' || rule.imports.includes(to)) continue;
        broken.push(
          `${file.path} imports ${edge.target}; ${from} may import: lib ${rule.imports.join(' ')}`,
        );
      }
    }
    expect(broken).toEqual([]);
  });

  test('other modules are imported through their doors only', () => {
    const broken: string[] = [];
    for (const file of product) {
      for (const edge of file.imports) {
        if (!edge.isOurs || !edge.target.startsWith('src/')) continue;
        const to = moduleOf(edge.target);
        if (to === moduleOf(file.path) || to === 'lib') continue;
        const isDoor =
          edge.target === `src/${to}/index.ts` ||
          edge.target === `src/${to}/${secondDoors.get(to) ?? 'index.ts'}`;
        if (!isDoor)
          broken.push(`${file.path} imports ${edge.target}; the door is src/${to}/index.ts`);
      }
    }
    expect(broken).toEqual([]);
  });

  test('imports name files that exist', () => {
    const broken = product.flatMap((file) =>
      file.imports
        .filter((edge) => edge.isOurs && edge.target.startsWith('src/') && !known.has(edge.target))
        .map((edge) => `${file.path} imports ${edge.target}`),
    );
    expect(broken).toEqual([]);
  });

  test('what a worker loads is what the data plane may import (A7)', () => {
    const allowed = new Set([
      'lib',
      'main',
      'proxy',
      'dataplane',
      ...(table.get('dataplane')?.imports ?? []),
    ]);
    const packages = new Set(['re2js']);
    const broken: string[] = [];
    for (const path of closureOf('src/main/worker.ts')) {
      const file = sources.find((one) => one.path === path);
      if (!allowed.has(moduleOf(path))) broken.push(`${path} is loaded by the worker`);
      if (path.endsWith('/control.ts')) broken.push(`${path} is loaded by the worker`);
      for (const edge of file?.imports ?? []) {
        if (edge.isOurs || edge.isTypeOnly || edge.target.startsWith('node:')) continue;
        if (!packages.has(edge.target)) broken.push(`${path} loads package ${edge.target}`);
      }
    }
    expect(broken).toEqual([]);
  });
});

function closureOf(entry: string): Set<string> {
  const seen = new Set<string>();
  const open = [entry];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    const file = sources.find((one) => one.path === path);
    for (const edge of file?.imports ?? []) {
      if (edge.isOurs && !edge.isTypeOnly) open.push(edge.target);
    }
  }
  return seen;
}

describe('weight', () => {
  test('nothing loads the network of a browser', () => {
    // Their doors do, and so each proxy would carry 15 MB: src/kube/undici.ts, admin-server.ts.
    const heavy = ['undici', 'node:http'];
    const light = ['src/main/probe.ts', 'src/playground/', 'src/kube/undici-core.d.ts'];
    const broken = product
      .filter(({ path }) => !light.some((one) => path.startsWith(one)))
      .flatMap((file) =>
        file.imports
          .filter((edge) => !edge.isTypeOnly && heavy.includes(edge.target))
          .map((edge) => `${file.path} imports ${edge.target}`),
      );
    expect(broken).toEqual([]);
  });
});

describe('purity (A1)', () => {
  test('pure modules hold no time, chance, IO or async', () => {
    const broken: string[] = [];
    for (const file of product) {
      if (table.get(moduleOf(file.path))?.isPure !== true) continue;
      for (const mark of file.marks) {
        if (mark.what.startsWith('impure')) broken.push(`${file.path}:${mark.line} ${mark.what}`);
      }
      for (const edge of file.imports) {
        if (edge.isTypeOnly || !edge.target.startsWith('node:')) continue;
        if (edge.target !== 'node:crypto') broken.push(`${file.path} imports ${edge.target}`);
      }
    }
    expect(broken).toEqual([]);
  });

  test('no module keeps mutable state of its own (A2)', () => {
    // A collection that is made empty at the top of a module can only be there to be filled.
    // A WeakMap by immutable values is a memo; even that is nothing for a pure module.
    const filled = /^(export )?(let |const \w+(: [^R].*)? = new (Map|Set)(<.*>)?\(\);)/;
    const memo = /^(export )?const \w+(: .*)? = new WeakMap/;
    const broken = product.flatMap((file) => {
      const isPure = table.get(moduleOf(file.path))?.isPure === true;
      return file.lines.flatMap((line, index) =>
        filled.test(line) || (isPure && memo.test(line))
          ? [`${file.path}:${index + 1} ${line}`]
          : [],
      );
    });
    expect(broken).toEqual([]);
  });
});

describe('types', () => {
  test('there is no any, and nothing is asserted to be there', () => {
    const broken = sources.flatMap((file) =>
      file.marks
        .filter((mark) => mark.what === 'any' || (mark.what === '!' && !isTest(file)))
        .map((mark) => `${file.path}:${mark.line} ${mark.what}`),
    );
    expect(broken).toEqual([]);
  });
});

describe('sizes', () => {
  test('files stay under their limit', () => {
    const broken = sources.flatMap((file) => {
      const limit =
        oversizeFiles.get(file.path) ?? (file.path.startsWith('test/') || isTest(file) ? 800 : 500);
      return file.lines.length - 1 > limit
        ? [`${file.path}: ${file.lines.length - 1} > ${limit}`]
        : [];
    });
    expect(broken).toEqual([]);
  });

  test('functions stay under 70 lines, four parameters and three levels', () => {
    const broken: string[] = [];
    for (const file of sources) {
      if (isTest(file) || file.path.startsWith('test/')) continue;
      for (const one of file.functions) {
        const place = `${file.path}:${one.line} ${one.name}`;
        const limit = oversizeFunctions.get(`${file.path}#${one.name}`) ?? 70;
        if (one.lines > limit) broken.push(`${place}: ${one.lines} lines > ${limit}`);
        if (one.parameters > 4) broken.push(`${place}: ${one.parameters} parameters > 4`);
        if (one.nesting > 3) broken.push(`${place}: nesting ${one.nesting} > 3`);
      }
    }
    expect(broken).toEqual([]);
  });

  test('lines stay under 100 columns', () => {
    const broken = sources.flatMap((file) =>
      file.lines.flatMap((line, index) =>
        line.length > 100 && !/https?:\/\//.test(line)
          ? [`${file.path}:${index + 1} (${line.length})`]
          : [],
      ),
    );
    expect(broken).toEqual([]);
  });

  test('doors stay narrow', () => {
    const broken = product
      .filter((file) => /^src\/\w+\/(index|control|worker)\.ts$/.test(file.path))
      .map((file) => ({ path: file.path, names: file.reExports + file.exports.length }))
      .filter((door) => door.names > 20)
      .map((door) => `${door.path}: ${door.names} exports > 20`);
    expect(broken).toEqual([]);
  });
});

describe('words', () => {
  test('each file starts with a comment of 2 to 12 lines', () => {
    const broken = sources.flatMap((file) => {
      const end = file.lines.findIndex((line) => !line.startsWith('//') && !line.startsWith('#!'));
      return end < 2 || end > 12 ? [`${file.path}: ${end} lines`] : [];
    });
    expect(broken).toEqual([]);
  });

  test('names are of the vocabulary', () => {
    const broken: string[] = [];
    for (const file of product) {
      const base =
        file.path
          .split('/')
          .at(-1)
          ?.replace(/(\.test)?\.ts$/, '') ?? '';
      for (const name of [base, ...file.declared]) {
        for (const [word, instead] of bannedWords) {
          if (word.test(name)) broken.push(`${file.path}: ${name} – say ${instead}`);
        }
      }
    }
    expect([...new Set(broken)]).toEqual([]);
  });

  test('files are kebab-case', () => {
    const broken = sources
      .map((file) => file.path)
      .filter((path) => !/^[a-z0-9/.-]+\.ts$/.test(path));
    expect(broken).toEqual([]);
  });
});

describe('exports', () => {
  test('nobody exports what nobody uses', () => {
    const used = new Map<string, Set<string>>();
    const use = (path: string, name: string): void => {
      const names = used.get(path) ?? new Set<string>();
      names.add(name);
      used.set(path, names);
    };
    const usedByOwnTest = new Set<string>();
    for (const file of sources) {
      const unit = file.path.replace(/\.test\.ts$/, '.ts');
      for (const edge of file.imports) {
        const isOwnTest = isTest(file) && edge.target === unit;
        for (const name of edge.isOurs ? edge.names : []) {
          if (isOwnTest) usedByOwnTest.add(`${edge.target}: ${name}`);
          else use(edge.target, name);
        }
      }
    }
    const broken = product.flatMap((file) => {
      const names = used.get(file.path) ?? new Set<string>();
      if (names.has('*')) return [];
      const isNeeded = (name: string): boolean => {
        if (names.has(name)) return true;
        // Not for a test alone: the file has to use it, too, as its own piece or in a signature.
        const isTried = usedByOwnTest.has(`${file.path}: ${name}`);
        return isMentioned(file, name) && (isTried || file.exportedTypes.includes(name));
      };
      return file.exports.filter((name) => !isNeeded(name)).map((name) => `${file.path}: ${name}`);
    });
    expect(broken).toEqual([]);
  });
});

/** Whether the file mentions the name again besides declaring it. */
function isMentioned(file: SourceFacts, name: string): boolean {
  return file.text.split(new RegExp(`\\b${name}\\b`)).length > 2;
}

describe('lock file', () => {
  type Locked = {
    readonly resolved?: string;
    readonly optionalDependencies?: Readonly<Record<string, string>>;
  };
  const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    readonly packages: Readonly<Record<string, Locked>>;
  };
  const packages = Object.entries(lock.packages);

  test('holds no download addresses', () => {
    expect(packages.filter(([, one]) => one.resolved !== undefined)).toEqual([]);
  });

  // A registry that lacks the binaries of a platform makes npm leave them out, and then `npm ci`
  // fails everywhere ("Missing … from lock file"): such entries are added by hand, without a hash.
  test('names the binaries of every platform', () => {
    const wanted = packages.flatMap(([, one]) => Object.keys(one.optionalDependencies ?? {}));
    const binaries = wanted.filter((name) => name.startsWith('@rolldown/binding-'));
    expect(binaries.length).toBeGreaterThan(5);
    const missing = wanted.filter((name) => lock.packages[`node_modules/${name}`] === undefined);
    expect(missing).toEqual([]);
  });
});
