import type { OwnerJournal } from '../journal/owner-journal.ts'
import type { StripeReserve } from '../journal/stripe-reserve.ts'
import type { SegmentKeeper } from './segment-keeper.ts'

/** All that belongs to one owner at this gateway. */
export interface OwnerStore {
  readonly journal: OwnerJournal
  readonly keeper: SegmentKeeper
  readonly reserve: StripeReserve
}
