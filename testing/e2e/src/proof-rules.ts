import { minimal, type Params } from '@cumulus/params'

/**
 * The rules of `minimal`, with windows of eight seconds: fifteen processes share two cores, and whoever keeps its data must
 * not be late twice in a row. A genesis names its rules and cannot change them, so every process of the network that
 * imports this changes them alike, before it reads them.
 */
export const proofRules: Params = Object.assign(minimal, {
  slotsPerEpoch: 10,
  epochsPerEra: 3,
  audit: { ...minimal.audit, windowSlots: 8 },
} satisfies Partial<Params>)
