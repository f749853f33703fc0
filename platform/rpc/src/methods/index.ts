import type { MethodTable } from '../method.ts'
import { blockMethods } from './blocks.ts'
import { consensusMethods } from './consensus.ts'
import type { MethodContext } from './context.ts'
import { cumulusMethods } from './cumulus.ts'
import { debugMethods } from './debug.ts'
import { feeMethods } from './fees.ts'
import { logMethods } from './logs.ts'
import { nodeMethods } from './node.ts'
import { stateMethods } from './state.ts'
import { subscriptionMethods } from './subscriptions.ts'
import { transactionMethods } from './transactions.ts'
import { txpoolMethods } from './txpool.ts'

/** Every method of the server. What is not here does not exist: −32601. */
export function createMethods(context: MethodContext): MethodTable {
  return {
    ...nodeMethods(context),
    ...blockMethods(context),
    ...transactionMethods(context),
    ...stateMethods(context),
    ...feeMethods(context),
    ...logMethods(context),
    ...subscriptionMethods(context),
    ...txpoolMethods(context),
    ...debugMethods(context),
    ...cumulusMethods(context),
    ...consensusMethods(context),
  }
}
