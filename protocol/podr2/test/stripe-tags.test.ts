import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { GroupId, Seat, StripeNumber } from '@cumulus/types'
import { PodrError, stripeTagsBytes, stripeTagsMessage, TAG_BYTES, tagsOfSeat } from '../src/index.ts'

const params = { chainId: 27_103, sectorCount: 64, challengedCount: 8 }
const place = { group: 3 as GroupId, stripe: 9 as StripeNumber }

describe('tags of a stripe', () => {
  it('lie seat after seat', () => {
    assert.equal(stripeTagsBytes(4096, 12, params), 12 * 3 * TAG_BYTES)
    const tags = new Uint8Array(12 * 3 * TAG_BYTES).map((_, i) => Math.floor(i / (3 * TAG_BYTES)))
    for (let seat = 0; seat < 12; seat++) {
      assert.deepEqual(tagsOfSeat(tags, seat as Seat, 12), new Uint8Array(3 * TAG_BYTES).fill(seat))
    }
  })

  it('of another length, or of a seat that is not there, are refused', () => {
    const refused = (bytes: number, seat: number) =>
      assert.throws(() => tagsOfSeat(new Uint8Array(bytes), seat as Seat, 12), PodrError)
    refused(0, 0)
    refused(12 * TAG_BYTES - 1, 0)
    refused(11 * TAG_BYTES, 0)
    refused(12 * TAG_BYTES, 12)
  })

  it('are signed for one chain, stripe, segment and content', () => {
    const root = new Uint8Array(32).fill(1)
    const tags = new Uint8Array(TAG_BYTES)
    const messages = [
      stripeTagsMessage(1, place, root, tags),
      stripeTagsMessage(2, place, root, tags),
      stripeTagsMessage(1, { ...place, group: 4 as GroupId }, root, tags),
      stripeTagsMessage(1, { ...place, stripe: 8 as StripeNumber }, root, tags),
      stripeTagsMessage(1, place, root.with(0, 2), tags),
      stripeTagsMessage(1, place, root, tags.with(0, 1)),
    ]
    assert.equal(new Set(messages.map((message) => message.toHex())).size, messages.length)
    assert.throws(() => stripeTagsMessage(1, place, root.subarray(1), tags), PodrError)
  })
})
