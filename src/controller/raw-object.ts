// Reading decoded JSON of the API server: the functions of `lib`, under the name that the files of
// this module know. It adds nothing.
export { listAt, textAt, valueAt } from '../lib/raw-object.ts';
