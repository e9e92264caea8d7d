// Branded strings: ids that only one constructor makes, so that a namespace is never passed where
// a backend id is due. The brand exists in types alone.

declare const brandName: unique symbol;

/** `Base` marked as `Name`; assignable to `Base`, not from it. */
export type Brand<Base, Name extends string> = Base & { readonly [brandName]: Name };
