import { utf8Encode } from '@cumulus/bytes'

/** Selector of Solidity's `Error(string)`. */
const ERROR_SELECTOR = 0x08c379a0

/**
 * The caller asked for something that the rules refuse: the call is undone and `data` is what it gets back.
 * Anything else that a module throws is our mistake, and stops the node.
 */
export class Revert extends Error {
  readonly code = 'REVERT'
  /** Revert data: a selector and ABI-encoded arguments. */
  readonly data: Uint8Array

  constructor(message: string, data: Uint8Array) {
    super(message)
    this.name = 'Revert'
    this.data = data
  }
}

/** The call costs more than its gas limit: it is undone and the whole limit is used up. */
export class OutOfGas extends Error {
  readonly code = 'OUT_OF_GAS'

  constructor() {
    super('out of gas')
    this.name = 'OutOfGas'
  }
}

/** The revert that Solidity writes as `revert("reason")`. */
export function revertWith(reason: string): Revert {
  const text = utf8Encode(reason)
  const data = new Uint8Array(4 + 64 + Math.ceil(text.length / 32) * 32)
  const view = new DataView(data.buffer)
  view.setUint32(0, ERROR_SELECTOR)
  view.setUint32(4 + 28, 32)
  view.setUint32(4 + 60, text.length)
  data.set(text, 4 + 64)
  return new Revert(reason, data)
}

/** Refuses the call with `reason` unless `condition` holds. */
export function require(condition: unknown, reason: string): asserts condition {
  if (!condition) throw revertWith(reason)
}
