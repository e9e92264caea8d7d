// What the parts of one API server share, and what one request carries through them.
// One context per server: nothing here is global.
import type { Runtime } from '../../lib/clock.ts';
import type { Tokens } from './auth.ts';
import type { KindRules, Registry, User } from './kinds.ts';
import type { Storage } from './storage.ts';

/** Everything that judging a request needs; made once per server. */
export type ApiContext = {
  readonly storage: Storage;
  readonly registry: Registry;
  /** By collection (`group/plural`). */
  readonly rules: ReadonlyMap<string, KindRules>;
  readonly runtime: Runtime;
  readonly tokens: Tokens;
};

/** What becomes of fields that a kind does not know: 400, a warning, or nothing. */
export type FieldValidation = 'Strict' | 'Warn' | 'Ignore';

/** The query parameters and stamps that every write has. */
export type WriteOptions = {
  readonly user: User;
  readonly isDryRun: boolean;
  /** Owner of the written fields in `managedFields`. */
  readonly fieldOwner: string;
  readonly fieldValidation: FieldValidation;
  /** Apply patches only: take over fields that others own. */
  readonly isForced: boolean;
};

/** Random version-4 UUID from the given source of chance. */
export function uuid(random: () => number): string {
  const hex = Array.from({ length: 32 }, () => Math.floor(random() * 16).toString(16));
  hex[12] = '4';
  hex[16] = (8 + Math.floor(random() * 4)).toString(16);
  const text = hex.join('');
  return [
    text.slice(0, 8),
    text.slice(8, 12),
    text.slice(12, 16),
    text.slice(16, 20),
    text.slice(20),
  ].join('-');
}

const suffixAlphabet = 'bcdfghjklmnpqrstvwxz2456789';

/** The five characters that `generateName` adds; Kubernetes' alphabet, which spells no words. */
export function nameSuffix(random: () => number): string {
  const pick = (): string => suffixAlphabet[Math.floor(random() * suffixAlphabet.length)] ?? 'x';
  return Array.from({ length: 5 }, pick).join('');
}

/** Seconds resolution, as metadata has it. */
export function timestamp(wallMs: number): string {
  return new Date(wallMs).toISOString().replace(/\.\d{3}Z$/, 'Z');
}
