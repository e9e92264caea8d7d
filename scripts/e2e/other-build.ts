// Another build than this one, for upgrades: that of the last commit on the first parents of HEAD
// whose programs differ. A commit that changed tests or documents alone makes the same bytes, and
// an upgrade between equal bytes shows nothing, so such commits are passed over.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** More commits in a row that change no program than there ever were. */
const commitsMax = 60;
/** What the bundles are made of. */
const ingredients = ['src', 'smi', 'package.json', 'package-lock.json', 'scripts/bundle.config.ts'];

export type OtherBuild = {
  /** A folder as this one, with `dist`. */
  readonly home: string;
  /** `1a2b3c4 subject`. */
  readonly commit: string;
};

function git(args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync('git', args, { encoding: 'utf8' });
  if (status === 0) return stdout.trim();
  throw new Error(`git ${args.join(' ')} ended with ${String(status)}: ${stderr}`);
}

/** Throws where none is found, with one line that says so. */
export function makeOtherBuild(folder: string): OtherBuild {
  const log = ['log', '--first-parent', `--max-count=${commitsMax}`, '--format=%h %s'];
  const commits = git([...log, 'HEAD^1']).split('\n');
  const own = digestOf('dist');
  for (const commit of commits) {
    const [hash = ''] = commit.split(' ');
    if (git(['diff', '--name-only', hash, '--', ...ingredients]) === '') continue;
    const home = join(folder, 'other');
    rmSync(home, { recursive: true, force: true });
    build(hash, home);
    if (digestOf(join(home, 'dist')) !== own) return { home, commit };
  }
  throw new Error(`the last ${commits.length} commits on the first parents make this very program`);
}

function digestOf(dist: string): string {
  const digest = createHash('sha256');
  for (const name of ['weft.js', 'worker.js']) digest.update(readFileSync(join(dist, name)));
  return digest.digest('hex');
}

function build(hash: string, home: string): void {
  mkdirSync(home);
  const archive = `${home}.tar`;
  git(['archive', '--output', archive, hash]);
  run('tar', ['-C', home, '-xf', archive], '.');
  symlinkSync(resolve('node_modules'), join(home, 'node_modules'));
  mkdirSync(join(home, 'build'));
  // The Node that goes into images, where there is one.
  symlinkSync(resolve('build', 'matrix'), join(home, 'build', 'matrix'));
  const rolldown = resolve('node_modules', 'rolldown', 'bin', 'cli.mjs');
  const bundle = ['-c', 'scripts/bundle.config.ts', '--logLevel', 'warn'];
  run(process.execPath, [rolldown, ...bundle], home);
}

function run(file: string, args: readonly string[], cwd: string): void {
  const { status, stderr } = spawnSync(file, args, { cwd, encoding: 'utf8' });
  if (status === 0) return;
  throw new Error(`${file} ${args.join(' ')} in ${cwd} ended with ${String(status)}: ${stderr}`);
}
