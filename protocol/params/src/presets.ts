const KiB = 2 ** 10
const MiB = 2 ** 20

/** How segments of one kind are cut: any `dataCount` of `seatCount` fragments rebuild the segment. */
export interface StorageClass {
  /** On-chain number of the class, from 1. */
  readonly id: number
  readonly name: string
  /** k: fragments that suffice. */
  readonly dataCount: number
  /** n: fragments stored, one in each seat of a group. */
  readonly seatCount: number
  /** Size of a full fragment and of the cell that holds it. */
  readonly fragmentBytes: number
  /** Receipts that make a segment durable enough to answer the client and to commit it. */
  readonly writeQuorum: number
  /** Code of new segments: 1 = Vandermonde Reed-Solomon, 2 = additive FFT for 4 + 8. */
  readonly codec: number
}

/** Everything two nodes must agree on before they exchange a byte. */
export interface Params {
  readonly name: PresetName
  readonly chainId: number
  /** Consensus time. A slot is the unit; an epoch counts slots, an era epochs. */
  readonly slotMs: number
  readonly slotsPerEpoch: number
  readonly epochsPerEra: number
  /** By class name. `standard` is what gateways use unless told otherwise. */
  readonly classes: { readonly standard: StorageClass; readonly light: StorageClass }
  /** A group takes no more stripes after this many. */
  readonly stripesPerGroup: number
  /** One unit of declared space is one cell. */
  readonly unitBytes: number
  /** Stake that a miner posts for each declared unit, in wei. */
  readonly stakePerUnit: bigint
  /** Rent for one GiB of logical bytes over one epoch, in wei. */
  readonly pricePerGiBEpoch: bigint
  /** Epochs after expiry in which a territory can still be renewed. Its data stays. */
  readonly graceEpochs: number
  /** Most stripes one reservation may hold, and how long it lasts. */
  readonly reservationStripesMax: number
  readonly reservationEpochs: number
  /** Whether the Faucet module exists and how much it gives per call, in wei. 0 = no faucet. */
  readonly faucetGrant: bigint
  readonly blockGasLimit: bigint
}

export type PresetName = 'mainnet' | 'dev' | 'minimal'

const TOKEN = 10n ** 18n

const standard: StorageClass = {
  id: 1,
  name: 'standard',
  dataCount: 4,
  seatCount: 12,
  fragmentBytes: 8 * MiB,
  writeQuorum: 10,
  codec: 2,
}
const light: StorageClass = {
  id: 2,
  name: 'light',
  dataCount: 2,
  seatCount: 3,
  fragmentBytes: 8 * MiB,
  writeQuorum: 3,
  codec: 1,
}

export const mainnet: Params = {
  name: 'mainnet',
  chainId: 27_101,
  slotMs: 6_000,
  slotsPerEpoch: 600,
  epochsPerEra: 6,
  classes: { standard, light },
  stripesPerGroup: 4_096,
  unitBytes: 8 * MiB,
  // 2,000 tokens per TiB of 131,072 units.
  stakePerUnit: (2_000n * TOKEN) / 131_072n,
  pricePerGiBEpoch: TOKEN / 10_000n,
  graceEpochs: 7 * 24,
  reservationStripesMax: 256,
  reservationEpochs: 6,
  faucetGrant: 0n,
  blockGasLimit: 60_000_000n,
}

/** Local networks: the data plane of `mainnet`, a clock that is quicker, small stakes, a faucet. */
export const dev: Params = {
  ...mainnet,
  name: 'dev',
  chainId: 27_102,
  slotMs: 1_000,
  slotsPerEpoch: 10,
  epochsPerEra: 6,
  stakePerUnit: TOKEN / 100n,
  pricePerGiBEpoch: TOKEN / 1_000_000n,
  // A stripe that is reserved and not filled locks space on twelve miners: a local network has little.
  reservationStripesMax: 64,
  reservationEpochs: 60,
  graceEpochs: 600,
  faucetGrant: 1_000n * TOKEN,
}

/** Tests and simulation: the code of `mainnet` on tiny data. */
export const minimal: Params = {
  ...dev,
  name: 'minimal',
  chainId: 27_103,
  slotsPerEpoch: 4,
  classes: {
    standard: { ...standard, fragmentBytes: 4 * KiB },
    light: { ...light, fragmentBytes: 4 * KiB },
  },
  stripesPerGroup: 32,
  unitBytes: 4 * KiB,
  reservationStripesMax: 16,
}

export const presets: Readonly<Record<PresetName, Params>> = { mainnet, dev, minimal }

/** @throws RangeError if no preset bears this name */
export function preset(name: string): Params {
  if (name !== 'mainnet' && name !== 'dev' && name !== 'minimal') {
    throw new RangeError(`no preset "${name}": choose mainnet, dev or minimal`)
  }
  return presets[name]
}
