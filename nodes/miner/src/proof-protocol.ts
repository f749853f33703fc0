import type { BlockPlace, PodrParams } from '@cumulus/podr2'

// What main thread and proving thread say to each other. One task at a time; the bytes of blocks are transferred.

/** Taggers whose powers the thread holds: 3 MB each at S = 32,768. */
export const TAGGERS_MAX = 8

/** By whose key blocks are tagged. */
export interface TaggerRef {
  /** 288 bytes, and the context of its proof of knowledge. */
  readonly taggerKey: Uint8Array
  readonly keyContext: Uint8Array
  readonly powersHash: Uint8Array
}

export type ProofQuestion =
  /** Takes the powers of a tagger. @param isChecked these bytes passed the full check before */
  | {
      readonly op: 'powers'
      readonly tagger: TaggerRef
      readonly bytes: Uint8Array
      readonly isChecked: boolean
      readonly sectorCount: number
    }
  /** A combination over blocks, those of a challenge or all of some fragments. */
  | {
      readonly op: 'begin'
      /** `check`: tags are a stranger's. */
      readonly what: 'proof' | 'check'
      readonly seed: Uint8Array
      readonly places: readonly BlockPlace[]
      /** Bit i: place i is left out. */
      readonly dropped: bigint
      readonly params: PodrParams
    }
  /** `count` blocks that follow each other, from `index` among the places not left out. What `bytes` lacks counts as zeros. */
  | {
      readonly op: 'add'
      readonly index: number
      readonly count: number
      readonly bytes: Uint8Array<ArrayBuffer>
      readonly tags: Uint8Array
    }
  /** The proof, which holds, or whether all tags are right. */
  | { readonly op: 'finish'; readonly tagger: TaggerRef }

export type ProofAnswer =
  | { readonly id: number; readonly result: Uint8Array | boolean | undefined }
  | { readonly id: number; readonly failure: { readonly code: string; readonly message: string } }
