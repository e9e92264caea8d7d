// What may be passed on as `x-request-id` and W3C `traceparent`; anything else is replaced.

/** W3C Trace Context level 1: version-traceid-parentid-flags, no all-zero ids, lower-case hex. */
export declare function isTraceparent(value: string): boolean;

/** 1 to 128 printable ASCII bytes without spaces. */
export declare function isRequestId(value: string): boolean;
