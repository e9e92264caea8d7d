// Kubernetes' own controllers beside a control plane of a test: kube-controller-manager from the
// directory of the other binaries, with the controllers that a test names. It ends only the process
// that it has started.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ControlPlane } from './control-plane.ts';

/** Runs until the answer is called. `controllers` as the flag of that name has them. */
export function startControllers(
  plane: ControlPlane,
  controllers: readonly string[],
): Promise<() => Promise<void>> {
  const program = join(plane.assets, 'kube-controller-manager');
  if (!existsSync(program)) {
    const how = 'put the binary of the same release beside kube-apiserver';
    throw new Error(`KUBEBUILDER_ASSETS=${plane.assets} holds no kube-controller-manager: ${how}`);
  }
  return start(program, plane, controllers);
}

async function start(
  program: string,
  plane: ControlPlane,
  controllers: readonly string[],
): Promise<() => Promise<void>> {
  const directory = dirname(plane.kubeconfigPath);
  const log = await open(join(directory, 'kube-controller-manager.log'), 'a');
  const flags = [
    `--kubeconfig=${plane.kubeconfigPath}`,
    `--controllers=${controllers.join(',')}`,
    '--leader-elect=false',
    '--secure-port=0',
    `--service-account-private-key-file=${join(directory, 'sa.key')}`,
    // Its default is a directory of the machine, which it would make.
    `--flex-volume-plugin-dir=${join(directory, 'flexvolume')}`,
  ];
  const child = spawn(program, flags, { stdio: ['ignore', log.fd, log.fd], cwd: directory });
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  const endAtExit = (): void => void child.kill('SIGKILL');
  process.on('exit', endAtExit);
  await log.close();
  return async () => {
    process.off('exit', endAtExit);
    child.kill('SIGKILL');
    await ended;
  };
}
