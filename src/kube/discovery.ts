// Which of the versions that we can read the API server serves for a kind, asked of its discovery
// documents. Kinds of one group ask together: an answer is shared for a second, so that polling for
// five missing kinds costs one small request per group.
import type { Clock } from '../lib/clock.ts';
import { asRecord, asText, kubeReason } from './client.ts';
import type { Connection } from './connection.ts';

export type WantedResource = {
  readonly group: string;
  readonly plural: string;
  /** The one that we like best first. */
  readonly versions: readonly string[];
};

type Answer = { readonly askedMs: number; readonly body: Promise<unknown> };

const sharedForMs = 1_000;

export class Discovery {
  readonly #connection: Connection;
  readonly #clock: Clock;
  /** By path; bounded by the groups and versions that we want. */
  readonly #answers = new Map<string, Answer>();

  constructor(connection: Connection, clock: Clock) {
    this.#connection = connection;
    this.#clock = clock;
  }

  /** `undefined` while the kind does not exist; throws KubeFailure when that cannot be known. */
  async servedVersion(wanted: WantedResource): Promise<string | undefined> {
    const group = await this.#ask(`/apis/${wanted.group}`);
    if (group === undefined) return undefined;
    const served = namesIn(asRecord(group)['versions'], 'version');
    for (const version of wanted.versions) {
      if (!served.has(version)) continue;
      const document = await this.#ask(`/apis/${wanted.group}/${version}`);
      if (namesIn(asRecord(document)['resources'], 'name').has(wanted.plural)) return version;
    }
    return undefined;
  }

  #ask(path: string): Promise<unknown> {
    const nowMs = this.#clock.nowMs();
    const known = this.#answers.get(path);
    if (known !== undefined && nowMs - known.askedMs < sharedForMs) return known.body;
    const body = this.#connection.get(path).catch((error: unknown) => {
      if (kubeReason(error) === 'NotFound') return undefined;
      this.#answers.delete(path);
      throw error;
    });
    this.#answers.set(path, { askedMs: nowMs, body });
    return body;
  }
}

function namesIn(list: unknown, key: string): ReadonlySet<string> {
  const items: readonly unknown[] = Array.isArray(list) ? list : [];
  return new Set(items.map((item) => asText(asRecord(item)[key])));
}
