// Problems of users' objects in the log: each once when it appears and once when it is gone,
// however often the mesh is compiled in between. All of them are always under /debug/problems.
import type { Problem } from '../api/index.ts';
import type { Log } from '../telemetry/index.ts';

/** Lines of one compilation; a cluster that is wrong everywhere must not flood the log. */
const linesMax = 50;

/** Lives as long as the controller. */
export class ProblemLog {
  readonly #log: Log;
  #known = new Map<string, Problem>();

  constructor(log: Log) {
    this.#log = log;
  }

  note(problems: readonly Problem[]): void {
    const now = new Map(problems.map((problem) => [keyOf(problem), problem]));
    const added = [...now].filter(([key]) => !this.#known.has(key));
    const solved = [...this.#known].filter(([key]) => !now.has(key));
    for (const [, { message, ...object }] of added.slice(0, linesMax)) {
      // `message` is the line's own text; a field of that name would displace or hide it.
      this.#log.warn('problem', { ...object, problem: message });
    }
    for (const [, { kind, namespace, name, reason }] of solved.slice(0, linesMax)) {
      this.#log.info('problem is gone', { kind, namespace, name, reason });
    }
    const unsaid = Math.max(0, added.length - linesMax) + Math.max(0, solved.length - linesMax);
    if (unsaid > 0) this.#log.warn('more problems changed; see /debug/problems', { unsaid });
    this.#known = now;
  }
}

function keyOf(problem: Problem): string {
  return Object.values(problem).join('\n');
}
