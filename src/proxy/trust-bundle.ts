// Watches ConfigMap `weft-trust`: the roots that certificates of the mesh chain to. What is no
// bundle, or gone, leaves the last good one in force: traffic between nodes must not depend on
// somebody's `kubectl edit`.
import { readTrustBundle, type TrustBundle } from '../identity/index.ts';
import { startReflector, type Connection, type Reflector, type Sink } from '../kube/index.ts';
import type { Runtime } from '../lib/clock.ts';
import { textAt } from '../lib/raw-object.ts';
import type { Log } from '../telemetry/index.ts';

/** As the controller writes it. */
const bundleName = 'weft-trust';
const bundleKey = 'ca.crt';

export type TrustWatchOptions = {
  readonly connection: Connection;
  readonly runtime: Runtime;
  readonly log: Log;
  readonly meshNamespace: string;
  /** There is another bundle, with at least one root. */
  readonly onBundle: (bundle: TrustBundle) => void;
};

export type TrustWatch = { readonly stop: () => Promise<void> };

export function watchTrustBundle(options: TrustWatchOptions): TrustWatch {
  const reader = new BundleReader(options);
  const reflector: Reflector = startReflector<string>({
    connection: options.connection,
    runtime: options.runtime,
    log: options.log,
    resource: { group: '', plural: 'configmaps', versions: ['v1'] },
    namespace: options.meshNamespace,
    selector: { fieldSelector: `metadata.name=${bundleName}` },
    parse: (object) => ({ value: textAt(object, 'data', bundleKey) ?? '', problems: [] }),
    sink: reader.sink(),
  });
  return { stop: () => reflector.stop() };
}

class BundleReader {
  readonly #options: TrustWatchOptions;
  #text: string | undefined;

  constructor(options: TrustWatchOptions) {
    this.#options = options;
  }

  sink(): Sink<string> {
    return {
      put: (_key, { value }) => this.#take(value ?? ''),
      remove: () => this.#warnOfNone(),
      replace: () => {
        let listed: string | undefined;
        return {
          put: (_key, { value }) => {
            listed = value ?? '';
          },
          remove: () => {
            listed = undefined;
          },
          commit: () => {
            if (listed !== undefined) this.#take(listed);
            else this.#warnOfNone();
          },
        };
      },
    };
  }

  #take(text: string): void {
    if (text === this.#text) return;
    this.#text = text;
    const bundle = readTrustBundle(text);
    const { log } = this.#options;
    for (const { reason, message } of bundle.problems) {
      log.warn('trust bundle has a problem', { configMap: bundleName, reason, why: message });
    }
    if (bundle.roots.length > 0) this.#options.onBundle(bundle);
  }

  #warnOfNone(): void {
    this.#options.log.warn('there is no trust bundle', {
      configMap: bundleName,
      hint: 'the controller makes it; until then what was trusted before stays so',
    });
  }
}
