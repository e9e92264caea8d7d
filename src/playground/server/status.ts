// Refusals as the API server words them: a `Status` object with a code, a reason and details. One
// error class carries it from where a request is judged to where it is answered. The texts are
// those of k8s.io/apimachinery/pkg/api/errors, because clients and people match on them.
import { Failure } from '../../lib/failure.ts';
import type { Json, JsonObject } from './json.ts';

/** One field that is wrong, as in `details.causes`. */
export type Cause = { readonly reason: string; readonly message: string; readonly field: string };

/** Which collection (`group`, `plural`) and object a refusal is about. */
export type Subject = { readonly group: string; readonly plural: string; readonly name: string };

/** A refusal on its way to the client; thrown where a request is judged, answered in one place. */
export class StatusFailure extends Failure<'ApiStatus'> {
  readonly status: JsonObject;
  readonly code: number;
  readonly retryAfterSeconds: number | undefined;

  constructor(status: JsonObject, code: number, retryAfterSeconds?: number) {
    const message = typeof status.message === 'string' ? status.message : `status ${code}`;
    super(message, { reason: 'ApiStatus', origin: 'downstream', retry: 'never' });
    this.status = status;
    this.code = code;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** A Status; `reason` is left out when empty, as the real server does. */
export function statusObject(code: number, reason: string, message: string): JsonObject {
  const status = code < 400 ? 'Success' : 'Failure';
  const told: JsonObject = { kind: 'Status', apiVersion: 'v1', metadata: {}, status, message };
  return reason === '' ? { ...told, code } : { ...told, reason, code };
}

/** A refusal that is about no object in particular. */
export function refusal(code: number, reason: string, message: string): StatusFailure {
  return new StatusFailure(statusObject(code, reason, message), code);
}

function qualified(subject: Subject): string {
  return subject.group === '' ? subject.plural : `${subject.plural}.${subject.group}`;
}

function detailsOf(subject: Subject, kind = subject.plural): JsonObject {
  const details: JsonObject = { name: subject.name };
  if (subject.group !== '') details.group = subject.group;
  details.kind = kind;
  return details;
}

function about(subject: Subject, code: number, reason: string, message: string): StatusFailure {
  const status = { ...statusObject(code, reason, message), details: detailsOf(subject) };
  return new StatusFailure(status, code);
}

/** 404 for an object. */
export function notFound(subject: Subject): StatusFailure {
  return about(subject, 404, 'NotFound', `${qualified(subject)} "${subject.name}" not found`);
}

/** No such path at all: kind, version or subresource is not served. */
export function noSuchResource(): StatusFailure {
  const message = 'the server could not find the requested resource';
  return new StatusFailure({ ...statusObject(404, 'NotFound', message), details: {} }, 404);
}

/** 409 for a name that is taken. */
export function alreadyExists(subject: Subject): StatusFailure {
  const message = `${qualified(subject)} "${subject.name}" already exists`;
  return about(subject, 409, 'AlreadyExists', message);
}

/** 409 for a write that was overtaken, or whose precondition does not hold. */
export function conflict(subject: Subject, why: string): StatusFailure {
  const what = `${qualified(subject)} "${subject.name}"`;
  const message = `Operation cannot be fulfilled on ${what}: ${why}`;
  return about(subject, 409, 'Conflict', message);
}

/** The text that every client's retry loop knows. */
export const modifiedMeanwhile =
  'the object has been modified; please apply your changes to the latest version and try again';

/** 400: the request itself makes no sense. */
export function badRequest(message: string): StatusFailure {
  return refusal(400, 'BadRequest', message);
}

/** 422: the object was read but its values may not be. */
export function invalid(subject: Subject, kind: string, causes: readonly Cause[]): StatusFailure {
  const told = causes.map((cause) => `${cause.field}: ${cause.message}`);
  const listed = told.length === 1 ? (told[0] ?? '') : `[${told.join(', ')}]`;
  const qualifiedKind = subject.group === '' ? kind : `${kind}.${subject.group}`;
  const status = statusObject(
    422,
    'Invalid',
    `${qualifiedKind} "${subject.name}" is invalid: ${listed}`,
  );
  const listedCauses: Json[] = causes.map((cause) => ({ ...cause }));
  status.details = { ...detailsOf(subject, kind), causes: listedCauses };
  return new StatusFailure(status, 422);
}

/** 410: the revision is too old; the client has to list again. */
export function expired(message: string): StatusFailure {
  return refusal(410, 'Expired', message);
}

/** The answer to a delete that is done. */
export function deletedStatus(subject: Subject, uid: string): JsonObject {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: { ...detailsOf(subject), uid },
  };
}
