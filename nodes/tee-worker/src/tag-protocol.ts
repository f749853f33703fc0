import type { PodrParams } from '@cumulus/podr2'

// What main thread and tagging threads say to each other. Buffers are transferred, never shared.

export interface TagThreadInit {
  /** Secret: x and α are made from it in the thread. Threads of one process; it goes nowhere else. */
  readonly seed: Uint8Array
  readonly params: PodrParams
}

export interface TagQuestion {
  readonly id: number
  readonly group: number
  readonly stripe: number
  /** What the certified chain has. */
  readonly root: Uint8Array
  readonly descriptor: Uint8Array
  /** Blocks of a full fragment of the class: each gets a tag, however short this one is. */
  readonly blockCount: number
  readonly fragments: readonly { readonly seat: number; readonly bytes: Uint8Array<ArrayBuffer> }[]
}

/** `inconsistent`: these fragments and ids are not of one segment with this root. */
export type TagAnswer =
  | { readonly id: number; readonly tags: Uint8Array<ArrayBuffer>; readonly taggedBytes: number }
  | { readonly id: number; readonly refusal: 'inconsistent' }
  | { readonly id: number; readonly failure: string }
