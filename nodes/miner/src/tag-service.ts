import { equalBytes } from '@cumulus/bytes'
import { type FrameMessage, type FrameReply, RemoteError, type Session } from '@cumulus/network'
import type { Params } from '@cumulus/params'
import { type PodrParams, stripeTagsBytes, stripeTagsMessage, tagsOfSeat } from '@cumulus/podr2'
import { verifyEd25519 } from '@cumulus/signature'
import type { SlabStore } from '@cumulus/store'
import type { GroupId, Seat, StripeNumber } from '@cumulus/types'
import type { Authority } from './authority.ts'
import { isSameAccount, type KeptTags } from './kept-tags.ts'
import type { MinerMetrics } from './metrics.ts'
import type { ChainGroup } from './miner-chain.ts'
import { encodeTagRecord, UNCHECKED } from './tag-record.ts'

interface Place {
  readonly group: GroupId
  readonly stripe: StripeNumber
  readonly seat: Seat
}

export interface TagServiceComponents {
  readonly store: SlabStore
  readonly authority: Authority
  readonly kept: KeptTags
  readonly params: Params
  readonly podr: PodrParams
  readonly metrics: MinerMetrics
  /** New tags are there to be checked. */
  readonly onTags: () => void
}

/** Tags that wait to take the place of others: a first offer is bounded by the number of fragments, a second one by this. */
const REPLACEMENTS_MAX = 4_096

/** Takes the tags of whole stripes from the TEE worker that makes them, and gives them to whoever may ask. */
export class TagService {
  readonly #parts: TagServiceComponents

  constructor(parts: TagServiceComponents) {
    this.#parts = parts
  }

  /**
   * Tags are set aside when the signature holds, beside those that are kept: whether they are right is found out before they are
   * used for anything. There is one right tag for a block and a key, so others than those that have passed are wrong.
   *
   * @throws RemoteError UNKNOWN_WORKER | NOT_TAGGER | NOT_YOUR_SEAT | NOT_FOUND | WRONG_ROOT | FRAGMENT_CORRUPT | BAD_TAGS |
   *   OVERLOADED
   */
  async put(place: Place, frame: FrameMessage, session: Session): Promise<FrameReply> {
    const { store, authority, kept, podr, metrics, onTags } = this.#parts
    const tagger = await authority.tagger(place.group, session.peerKey)
    const group = await authority.seat(place.group, place.seat)
    const info = store.info(place)
    if (!info) throw new RemoteError('NOT_FOUND', 'there is no such fragment')
    if (!equalBytes(info.segmentRoot, frame.hash)) {
      throw new RemoteError('WRONG_ROOT', 'the fragment here is of another segment')
    }
    if (info.corrupt) throw new RemoteError('FRAGMENT_CORRUPT', 'the fragment is damaged: no tag helps it')
    if (frame.body.length !== this.#tagsBytes(group)) {
      throw new RemoteError('BAD_TAGS', 'these are not the tags of all seats', { bytes: frame.body.length })
    }
    const has = kept.get(place, tagger)
    if (has) {
      const count = group.peerKeys.length
      const own = (tags: Uint8Array): Uint8Array => tagsOfSeat(tags, place.seat, count)
      if (equalBytes(own(has.record.tags), own(frame.body))) return {}
      metrics.tags.inc({ outcome: 'refused' })
      throw new RemoteError('BAD_TAGS', 'these are others than those that passed the check')
    }
    const offered = kept.offered(place)
    if (offered) {
      const { tagger: by, segmentRoot, tags } = offered.record
      if (isSameAccount(by, tagger) && equalBytes(segmentRoot, frame.hash) && equalBytes(tags, frame.body)) return {}
    }
    if (kept.stored(place) && !offered && store.status.offeredTags >= REPLACEMENTS_MAX) {
      throw new RemoteError('OVERLOADED', 'too many tags wait for their check')
    }
    const message = stripeTagsMessage(podr.chainId, place, frame.hash, frame.body)
    if (!verifyEd25519(frame.meta, message, session.peerKey)) {
      throw new RemoteError('BAD_TAGS', 'the worker did not sign these tags')
    }
    const record = {
      tagger,
      segmentRoot: frame.hash,
      signature: frame.meta,
      checkedBy: UNCHECKED,
      tags: frame.body,
    }
    if (!(await store.offerTags(place, encodeTagRecord(record)))) {
      throw new RemoteError('NOT_FOUND', 'there is no such fragment')
    }
    onTags()
    return {}
  }

  /** @throws RemoteError NOT_YOUR_SEAT | NOT_FOUND */
  async get(place: Place, session: Session): Promise<FrameReply> {
    const { kept, authority } = this.#parts
    if (!authority.isReader(session.peerKey)) {
      const isMember = ({ peerKeys }: ChainGroup): boolean => peerKeys.some((key) => equalBytes(key, session.peerKey))
      if (!isMember(await authority.group(place.group, isMember))) {
        throw new RemoteError('NOT_YOUR_SEAT', 'tags are for members of the group, gateways and TEE workers')
      }
    }
    const has = kept.get(place)
    if (!has) throw new RemoteError('NOT_FOUND', 'there are no tags of this fragment')
    const { segmentRoot, signature, tags } = has.record
    return { hash: segmentRoot, meta: signature, body: tags }
  }

  #tagsBytes({ classId, peerKeys }: ChainGroup): number {
    const { params, podr } = this.#parts
    const kind = Object.values(params.classes).find(({ id }) => id === classId)
    return kind ? stripeTagsBytes(kind.fragmentBytes, peerKeys.length, podr) : -1
  }
}
