// The kubeconfig that makes kubectl, the controller and the proxies clients of the embedded server.
// JSON is YAML; no writer is needed.

/** What a client must know to reach the server and to be believed. */
export type KubeconfigFacts = {
  readonly url: string;
  /** Empty over plain HTTP. */
  readonly caPem: string;
  readonly token: string;
};

/** A kubeconfig with one context, `playground`. */
export function kubeconfigText(facts: KubeconfigFacts): string {
  const cluster =
    facts.caPem === ''
      ? { server: facts.url }
      : {
          server: facts.url,
          'certificate-authority-data': Buffer.from(facts.caPem).toString('base64'),
        };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'playground', cluster }],
    users: [{ name: 'playground', user: { token: facts.token } }],
    contexts: [
      {
        name: 'playground',
        context: { cluster: 'playground', user: 'playground', namespace: 'default' },
      },
    ],
    'current-context': 'playground',
  };
  return `${JSON.stringify(config, undefined, 2)}\n`;
}
