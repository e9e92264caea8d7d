// The identities of a proxy, put together: what the pods want, what is trusted, who is asked, what
// is kept, and what the workers, the admin port and the metrics are told of it.
import type { ClusterState } from '../api/index.ts';
import { nodeBindingOf } from '../identity/index.ts';
import type { Connection } from '../kube/index.ts';
import type { Runtime } from '../lib/clock.ts';
import type { LocalFiles } from '../lib/files.ts';
import type { KeyMaker } from '../lib/keys.ts';
import type { Log } from '../telemetry/index.ts';
import { startCertificateRequests } from './certificate-requests.ts';
import { wantedIdentities } from './identity-plan.ts';
import { IdentityKeeper } from './keep-identities.ts';
import type { Identities } from './messages.ts';
import type { IdentitySettings, ProxySettings } from './settings.ts';
import { StateFile } from './state-file.ts';
import { watchTrustBundle } from './trust-bundle.ts';

export type IdentitiesOptions = {
  readonly connection: Connection;
  readonly runtime: Runtime;
  readonly log: Log;
  readonly keys: KeyMaker;
  readonly files: LocalFiles;
  readonly settings: ProxySettings;
  readonly identity: IdentitySettings;
  readonly onChange: (change: Identities) => void;
  readonly onOutcome: (result: string) => void;
};

export type RunningIdentities = Pick<
  IdentityKeeper,
  'complete' | 'expiries' | 'facts' | 'hasAll' | 'hasOwn' | 'trustFacts'
> & {
  /** The objects are these now. */
  readonly follow: (state: ClusterState) => void;
  readonly stop: () => Promise<void>;
};

/** `undefined` where no certificate can name the node; it is told, and there are no tunnels. */
export function startIdentities(options: IdentitiesOptions): RunningIdentities | undefined {
  const { connection, runtime, keys, files, settings, identity } = options;
  const { nodeName, mesh } = settings;
  const log = options.log.with({ part: 'identity' });
  if (nodeBindingOf(nodeName) === undefined) {
    log.error('no certificate can name this node: no tunnels', { nodeName });
    return undefined;
  }
  const requests = startCertificateRequests({
    ...{ connection, runtime, log, keys, nodeName },
    podUid: identity.podUid,
    onAnswered: (id) => keeper.askAgain(id),
  });
  const keeper: IdentityKeeper = new IdentityKeeper({
    ...{ runtime, log, nodeName, requests },
    meshNamespace: mesh.meshNamespace,
    trustDomain: mesh.trustDomain,
    stateFile: new StateFile({ files, log, directory: identity.stateDirectory }),
    onChange: options.onChange,
    onOutcome: options.onOutcome,
  });
  const trust = watchTrustBundle({
    ...{ connection, runtime, log },
    meshNamespace: mesh.meshNamespace,
    onBundle: (bundle) => keeper.trust(bundle),
  });
  void keeper.load();
  let pods: ClusterState['pods'] | undefined;
  return {
    complete: () => keeper.complete(),
    expiries: () => keeper.expiries(),
    facts: () => keeper.facts(),
    hasAll: () => keeper.hasAll(),
    hasOwn: () => keeper.hasOwn(),
    trustFacts: () => keeper.trustFacts(),
    follow: (state) => {
      // The same map as long as no pod changes.
      if (state.pods === pods) return;
      pods = state.pods;
      const { meshNamespace, trustDomain } = mesh;
      const input = { nodeName, meshNamespace, trustDomain, pods: state.pods.values() };
      keeper.want(wantedIdentities(input));
    },
    stop: async () => {
      keeper.stop();
      await Promise.all([requests.stop(), trust.stop()]);
    },
  };
}
