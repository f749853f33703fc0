export {
  type Address,
  addressFromBytes,
  type GroupId,
  groupId,
  type Seat,
  type StripeNumber,
  type StripeRef,
  seat,
  stripeNumber,
} from './identifiers.ts'
