import { type MethodTable, method } from '../method.ts'
import type { MethodContext } from './context.ts'

/** What Ethereum has no word for. */
export function cumulusMethods({ chain }: MethodContext): MethodTable {
  return {
    ...method('cumulus_status', [], () => chain.status()),
  }
}
