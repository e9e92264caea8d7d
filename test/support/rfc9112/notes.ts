// Where our codec knowingly leaves what RFC 9112 allows, by name. The reference parser reads on and
// notes the name; a codec that refuses must have one of these reasons, and one that reads what the
// grammar does not have must have one of the tolerances. There is no other disagreement.

/** The RFC lets a recipient read this; the codec refuses, because somebody reads it otherwise. */
export const strictnesses = [
  // 9112 2.2: a server should ignore at least one empty line. Ours ignores one.
  'several empty lines before a request',
  // 9112 5.2: a proxy may replace the fold by SP, or refuse.
  'folded line',
  // 9112 5.1: a proxy removes it from a response; ours answers 502.
  'white space before the colon in a response',
  // 9112 6.1, 6.3: Transfer-Encoding may win.
  'both framing fields',
  // 9110 8.6: identical lengths may be taken for one.
  'repeated Content-Length',
  // 9110 8.6: any number of digits.
  'length beyond 2^53',
  // 9112 6.1: a list may come on several lines.
  'Transfer-Encoding on several lines',
  // 9110 5.6.1.2: empty members of a list are ignored.
  'empty member of Transfer-Encoding',
  // 9112 6.1: 501 for what the server does not understand; a response ends with the connection.
  'transfer coding other than chunked',
  // 9112 6.1: faulty framing that may be read once.
  'Transfer-Encoding in HTTP/1.0',
  // 9112 6.3: HEAD, 1xx, 204 and 304 have no body whatever their fields say.
  'bad framing fields where there is no body',
  // 9112 7.1.1: BWS in front of the semicolon.
  'white space behind a chunk size',
  // 9112 7.1: recipients must anticipate large numbers, and avoid overflow.
  'chunk size of more than 16 digits or 2^53',
  // 9112 7.1.1: recipients should bound extensions.
  'long chunk-size line',
  // 9110 9.3.6, 9.3.8: no CONNECT or TRACE through the mesh.
  'method that is not forwarded',
  'method of more than 64 bytes',
  // 9112 3.2.2: any absolute-URI is absolute-form.
  'scheme other than http',
  // Design: a path that two readers may take for different paths (dot segments, encoded controls).
  'ambiguous path',
  // 9110 7.2: reg-name may hold sub-delims, escapes, or nothing.
  'host that is no plain name',
  'port out of range',
  // 9112 3.2: Host is a MUST of HTTP/1.1 only; a mesh routes by it.
  'HTTP/1.0 without Host',
  // 9110 7.6.2.
  'Max-Forwards that is no number',
  // 9110 15: an unknown status is read by its class, an invalid one as 5xx.
  'status outside 100 to 599',
  // 9110 15.2: 1xx have no content.
  'content in an interim response',
  // 9110 15.2.2.
  'switch that was not offered',
  // 9110 8.6: no Content-Length in 204; who sends it may send the content as well.
  'end of the connection after 204 with content',
] as const;

/** Not in the grammar, yet read by everybody alike. */
export const tolerances = [
  // RFC 3986 leaves out `[`, `|`, `"` and others; real clients send them.
  'target beyond RFC 3986',
  // 9112 4: the SP behind the status is due even without a reason.
  'no space behind the status',
  // 9112 7.1.1: unknown extensions are ignored, so they are not parsed either.
  'chunk extension by no grammar',
  // 9110 5.6.1.2: empty members are ignored. Ours does so for whole lines, in front only.
  'empty Upgrade line in front of the protocol',
] as const;

export type Strictness = (typeof strictnesses)[number];
export type Note = Strictness | (typeof tolerances)[number];
export type Notes = Set<Note>;

export function isStrictness(note: Note): boolean {
  return strictnesses.some((one) => one === note);
}
