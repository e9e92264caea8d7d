// Keys and certificates in `--state-dir`, so that a container that restarts on the same machine has
// its identities at once. Only on memory: on any other file system nothing is written and nothing
// is read, since a key on a disk outlives its node (contract §1). What is loaded is believed as
// little as an answer of the controller; the keeper checks it the same way.
import { createPublicKey } from 'node:crypto';
import type { SpiffeId } from '../identity/index.ts';
import type { LocalFiles } from '../lib/files.ts';
import { listAt, textAt } from '../lib/raw-object.ts';
import type { Log } from '../telemetry/index.ts';

/** A key with its certificates, as it is kept. */
export type KeptIdentity = {
  readonly id: string;
  readonly certificatePem: string;
  readonly keyPem: string;
  /** SubjectPublicKeyInfo of the key. */
  readonly publicKeySpki: Uint8Array;
};

export type SavedIdentity = Pick<KeptIdentity, 'certificatePem' | 'keyPem'> & {
  readonly id: SpiffeId;
};

export type StateFileOptions = {
  readonly files: LocalFiles;
  readonly log: Log;
  /** `undefined`: nothing is kept. */
  readonly directory: string | undefined;
};

/** TMPFS_MAGIC of linux/magic.h. */
const memoryFileSystem = 0x0102_1994;
const fileName = 'identities.json';
const bootIdPath = '/proc/sys/kernel/random/boot_id';
/** A thousand identities with chains of a few kilobytes. */
const bytesMax = 16 * 1024 * 1024;

export class StateFile {
  readonly #options: StateFileOptions;
  #place: Promise<Place | undefined> | undefined;
  #writing: Promise<void> = Promise.resolve();
  #next: readonly SavedIdentity[] | undefined;

  constructor(options: StateFileOptions) {
    this.#options = options;
  }

  /** What a predecessor on this machine has kept; nothing after a reboot. */
  async load(): Promise<readonly KeptIdentity[]> {
    const place = await this.#look();
    if (place === undefined) return [];
    try {
      return readState(await this.#options.files.readText(place.path, bytesMax), place.bootId);
    } catch {
      // There is none yet, or it is nobody's: what is missing is asked for.
      return [];
    }
  }

  /** Writes in the order of the calls; of several that wait the last one counts. */
  save(identities: readonly SavedIdentity[]): Promise<void> {
    const isWaiting = this.#next !== undefined;
    this.#next = identities;
    if (!isWaiting) this.#writing = this.#writing.then(() => this.#write());
    return this.#writing;
  }

  async #write(): Promise<void> {
    const identities = this.#next ?? [];
    this.#next = undefined;
    const place = await this.#look();
    if (place === undefined) return;
    const kept = identities.map(({ id, certificatePem, keyPem }) => ({
      id,
      certificatePem,
      keyPem,
    }));
    const text = JSON.stringify({ version: 1, bootId: place.bootId, identities: kept });
    try {
      await this.#options.files.writePrivate(place.path, text);
    } catch (error) {
      this.#options.log.warn('identities could not be kept', { why: whyOf(error) });
    }
  }

  #look(): Promise<Place | undefined> {
    this.#place ??= this.#findPlace();
    return this.#place;
  }

  async #findPlace(): Promise<Place | undefined> {
    const { files, log, directory } = this.#options;
    if (directory === undefined) return undefined;
    try {
      const type = await files.fileSystemType(directory);
      if (type !== memoryFileSystem) {
        log.warn('keys are not kept: --state-dir is not in memory', {
          directory,
          hint: 'give an emptyDir of medium Memory',
        });
        return undefined;
      }
      const bootId = (await files.readText(bootIdPath, 256)).trim();
      return bootId === '' ? undefined : { path: `${directory}/${fileName}`, bootId };
    } catch (error) {
      log.warn('keys are not kept: --state-dir cannot be used', { directory, why: whyOf(error) });
      return undefined;
    }
  }
}

type Place = { readonly path: string; readonly bootId: string };

function readState(text: string, bootId: string): readonly KeptIdentity[] {
  const state: unknown = JSON.parse(text);
  if (textAt(state, 'bootId') !== bootId) return [];
  return listAt(state, 'identities').flatMap((one) => {
    const id = textAt(one, 'id');
    const certificatePem = textAt(one, 'certificatePem');
    const keyPem = textAt(one, 'keyPem');
    if (id === undefined || certificatePem === undefined || keyPem === undefined) return [];
    const publicKeySpki = publicKeyOf(keyPem);
    return publicKeySpki === undefined ? [] : [{ id, certificatePem, keyPem, publicKeySpki }];
  });
}

function publicKeyOf(keyPem: string): Uint8Array | undefined {
  try {
    return createPublicKey(keyPem).export({ type: 'spki', format: 'der' });
  } catch {
    return undefined;
  }
}

function whyOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
