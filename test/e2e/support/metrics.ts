// Numbers of the proxies, read through the API server's proxy: the only way that works from
// outside of every cluster.
import { meshNamespace, podsOf, proxySelector } from './cluster.ts';
import { kubectl } from './kubectl.ts';

const adminPort = 15_020;

/** Answer of the admin port of a pod of ours. */
export function admin(pod: string, path: string): Promise<string> {
  return kubectl([
    'get',
    '--raw',
    `/api/v1/namespaces/${meshNamespace}/pods/${pod}:${adminPort}/proxy${path}`,
  ]);
}

/** Sum over all proxies of the samples with these labels. */
export async function metricSum(
  name: string,
  labels: Readonly<Record<string, string>>,
): Promise<number> {
  const pods = await podsOf(meshNamespace, proxySelector);
  const texts = await Promise.all(pods.map(({ metadata }) => admin(metadata.name, '/metrics')));
  return texts.reduce((sum, text) => sum + samplesIn(text, name, labels), 0);
}

function samplesIn(text: string, name: string, labels: Readonly<Record<string, string>>): number {
  const wanted = Object.entries(labels).map(([key, value]) => `${key}="${value}"`);
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .filter((line) => wanted.every((label) => line.includes(label)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}
