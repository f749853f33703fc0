declare const brand: unique symbol

/** A `Base` that cannot be passed where another kind of `Base` is wanted. Costs nothing at run time. */
export type Branded<Base, Name extends string> = Base & { readonly [brand]: Name }
