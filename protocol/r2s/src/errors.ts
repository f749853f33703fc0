/** The fault bound is broken: agreement can no longer be promised, so the member stops and keeps everything for inspection. */
export class R2sPanic extends Error {
  readonly code: 'TWO_CERTIFIED_TWINS' | 'TWO_COMMITTED_TWINS'
  readonly details: { readonly round: number; readonly author: number }
  constructor(code: R2sPanic['code'], details: R2sPanic['details']) {
    super(`${code}: round ${details.round}, author ${details.author}`)
    this.name = 'R2sPanic'
    this.code = code
    this.details = details
  }
}
