import type { Address } from '@cumulus/types'

export interface AnyModule {
  readonly name: string
  readonly address: Address
}
