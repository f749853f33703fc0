import { equalBytes } from '@cumulus/bytes'
import { type FrameMessage, type FrameReply, RemoteError, type Session } from '@cumulus/network'
import type { Params } from '@cumulus/params'
import { type PodrParams, stripeTagsBytes, stripeTagsMessage } from '@cumulus/podr2'
import { verifyEd25519 } from '@cumulus/signature'
import type { SlabStore } from '@cumulus/store'
import type { GroupId, Seat, StripeNumber } from '@cumulus/types'
import type { Authority } from './authority.ts'
import type { ChainGroup } from './miner-chain.ts'
import { decodeTagRecord, encodeTagRecord } from './tag-record.ts'

interface Place {
  readonly group: GroupId
  readonly stripe: StripeNumber
  readonly seat: Seat
}

export interface TagServiceComponents {
  readonly store: SlabStore
  readonly authority: Authority
  readonly params: Params
  readonly podr: PodrParams
  /** New tags are there to be checked. */
  readonly onTags: () => void
}

/** Takes the tags of whole stripes from the TEE worker that makes them, and gives them to whoever may ask. */
export class TagService {
  readonly #parts: TagServiceComponents

  constructor(parts: TagServiceComponents) {
    this.#parts = parts
  }

  /**
   * Tags are kept when the signature holds; whether they are right is found out before anything is said on chain.
   *
   * @throws RemoteError UNKNOWN_WORKER | NOT_TAGGER | NOT_YOUR_SEAT | NOT_FOUND | WRONG_ROOT | FRAGMENT_CORRUPT | BAD_TAGS
   */
  async put(place: Place, frame: FrameMessage, session: Session): Promise<FrameReply> {
    const { store, authority, podr, onTags } = this.#parts
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
    const known = store.getTags(place)
    const record = { tagger, segmentRoot: frame.hash, signature: frame.meta, tags: frame.body }
    if (known) {
      const { tags, tagger: by, segmentRoot } = decodeTagRecord(known)
      const isSame = by.toLowerCase() === tagger.toLowerCase() && equalBytes(segmentRoot, frame.hash)
      if (isSame && equalBytes(tags, frame.body)) return {}
    }
    const message = stripeTagsMessage(podr.chainId, place, frame.hash, frame.body)
    if (!verifyEd25519(frame.meta, message, session.peerKey)) {
      throw new RemoteError('BAD_TAGS', 'the worker did not sign these tags')
    }
    if (!(await store.putTags(place, encodeTagRecord(record)))) {
      throw new RemoteError('NOT_FOUND', 'there is no such fragment')
    }
    onTags()
    return {}
  }

  /** @throws RemoteError NOT_YOUR_SEAT | NOT_FOUND */
  async get(place: Place, session: Session): Promise<FrameReply> {
    const { store, authority } = this.#parts
    if (!authority.isReader(session.peerKey)) {
      const isMember = ({ peerKeys }: ChainGroup): boolean => peerKeys.some((key) => equalBytes(key, session.peerKey))
      if (!isMember(await authority.group(place.group, isMember))) {
        throw new RemoteError('NOT_YOUR_SEAT', 'tags are for members of the group, gateways and TEE workers')
      }
    }
    const value = store.getTags(place)
    if (!value) throw new RemoteError('NOT_FOUND', 'there are no tags of this fragment')
    const { segmentRoot, signature, tags } = decodeTagRecord(value)
    return { hash: segmentRoot, meta: signature, body: tags }
  }

  #tagsBytes({ classId, peerKeys }: ChainGroup): number {
    const { params, podr } = this.#parts
    const kind = Object.values(params.classes).find(({ id }) => id === classId)
    return kind ? stripeTagsBytes(kind.fragmentBytes, peerKeys.length, podr) : -1
  }
}
