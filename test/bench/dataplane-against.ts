// The build of another commit for `--against REF`: a git worktree under build/, bundled with this
// tree's packages (node_modules is found in a parent folder), removed when the bench ends. A commit
// that needs other packages than this one cannot be compared.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

export type OtherBuild = {
  readonly commit: string;
  /** Its dist/weft.js. */
  readonly program: string;
  readonly remove: () => void;
};

function git(...args: readonly string[]): string {
  return execFileSync('git', args, { encoding: 'utf8' }).trim();
}

/** The sources of the point where this branch left another. */
export type OtherTree = {
  readonly commit: string;
  readonly place: string;
  readonly remove: () => void;
};

/** Not the end of `ref` itself: what came later over there is not our loss. */
export function otherTree(ref: string): OtherTree {
  const commit = git('merge-base', 'HEAD', ref);
  const place = `build/against/${commit.slice(0, 12)}-${process.pid}`;
  git('worktree', 'add', '--detach', '--force', place, commit);
  const remove = (): void => {
    git('worktree', 'remove', '--force', place);
  };
  return { commit, place, remove };
}

/** Builds the program of that point. */
export function buildOther(ref: string): OtherBuild {
  const { commit, place, remove } = otherTree(ref);
  try {
    const packages = JSON.parse(readFileSync('node_modules/rolldown/package.json', 'utf8')) as {
      readonly bin: { readonly rolldown: string };
    };
    const bundler = resolve('node_modules/rolldown', packages.bin.rolldown);
    const args = [bundler, '-c', 'scripts/bundle.config.ts', '--logLevel', 'warn'];
    execFileSync(process.execPath, args, { cwd: place, stdio: 'inherit' });
    const program = join(place, 'dist/weft.js');
    if (!existsSync(program)) throw new Error(`the build of ${commit} made no ${program}`);
    return { commit, program, remove };
  } catch (error) {
    remove();
    throw error;
  }
}
