// Bounds of one message head (A9: everything from outside has a limit and a reason when it is
// hit). Trailers count under the same two limits as the head that they follow.

export type HeadLimits = {
  /** All bytes of a head, start line and final empty line included; more is 431 (upstream: 502). */
  readonly headBytesMax: number;
  /** Bytes of the request target as sent; more is 414. */
  readonly targetBytesMax: number;
  /** Field lines; more is 431, never a shortened head. */
  readonly fieldsMax: number;
};

/** The defaults of `--max-head-bytes`, `--max-target-bytes` and `--max-fields`. */
export const defaultHeadLimits: HeadLimits = {
  headBytesMax: 32 * 1024,
  targetBytesMax: 8 * 1024,
  fieldsMax: 128,
};

/** Longest registered method (IANA) has 17 bytes; a longer one than this is 501. */
export const methodBytesMax = 64;

/** One chunk-size line, without its CRLF. */
export const chunkLineBytesMax = 256;

/** All chunk extensions of one message (CVE-2024-22019: unbounded extensions cost CPU for free). */
export const chunkExtensionBytesMax = 16 * 1024;

/** Interim (1xx) responses to one request; the exchange counts them. */
export const interimResponsesMax = 16;
