// Why bytes from a peer are no message. On the downstream side `status` and `reason` are what the
// client gets before its connection is closed; on the upstream side every reject is a 502
// `UpstreamProtocol` and only `detail` is of use. A reject is final: nothing behind it is parsed.

export type BadRequestReason =
  | 'BadRequestSyntax'
  | 'BadRequestFraming'
  | 'BadRequestHost'
  | 'BadRequestTargetTooLong'
  | 'BadRequestHeadTooLarge'
  | 'BadRequestUnsupported'
  | 'WrongProtocol';

export type Reject = {
  readonly kind: 'reject';
  readonly status: 400 | 414 | 431 | 501 | 505;
  readonly reason: BadRequestReason;
  /** What is wrong, in words of ours: it never quotes the peer's bytes. */
  readonly detail: string;
  /** Not even an attempt at HTTP/1.x: to its sender an answer would be noise. */
  readonly isForeign?: true;
};

/** 400: the bytes break the grammar of RFC 9112, or the path is ambiguous. */
export function rejectSyntax(detail: string): Reject {
  return { kind: 'reject', status: 400, reason: 'BadRequestSyntax', detail };
}

/** The first line has neither a request target nor an HTTP version: another protocol. */
export function rejectForeign(detail: string): Reject {
  return { kind: 'reject', status: 400, reason: 'BadRequestSyntax', detail, isForeign: true };
}

/** 400: another protocol, by its first byte; the answer says how its port is to be annotated. */
export function rejectProtocol(detail: string): Reject {
  return { kind: 'reject', status: 400, reason: 'WrongProtocol', detail };
}

/** 400: two parsers could disagree about where the message ends. */
export function rejectFraming(detail: string): Reject {
  return { kind: 'reject', status: 400, reason: 'BadRequestFraming', detail };
}

/** 400: Host is missing, repeated or no host. */
export function rejectHost(detail: string): Reject {
  return { kind: 'reject', status: 400, reason: 'BadRequestHost', detail };
}

/** 431: more bytes or fields than the limits allow. */
export function rejectHeadTooLarge(detail: string): Reject {
  return { kind: 'reject', status: 431, reason: 'BadRequestHeadTooLarge', detail };
}

/** 414: the target is longer than the limits allow. */
export function rejectTargetTooLong(detail: string): Reject {
  return { kind: 'reject', status: 414, reason: 'BadRequestTargetTooLong', detail };
}

/** 501 or 505: well-formed, but nothing that this proxy forwards. */
export function rejectUnsupported(status: 501 | 505, detail: string): Reject {
  return { kind: 'reject', status, reason: 'BadRequestUnsupported', detail };
}
