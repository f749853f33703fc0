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
  /**
   * Gas that transactions may use without making it dearer: above it the base fee rises. Bytecode runs at 5 to 10 million
   * gas a second on one core; modules do many times that.
   */
  readonly gasPerSecond: bigint
  /** Issuance of tokens, and how what comes in is divided. */
  readonly economy: Economy
  readonly staking: StakingRules
  readonly governance: GovernanceRules
  readonly audit: AuditRules
  readonly order: OrderRules
}

/** How a committee's order becomes chain blocks (R²S, sections 2 and 5). All members must go by the same. */
export interface OrderRules {
  /** w: rounds from a leader to its decision. 5 is slower, and calmer where the network is hostile. */
  readonly waveLength: 4 | 5
  /** Rounds kept below the last committed leader: a member that stalls for longer must catch up by chain blocks. */
  readonly gcDepthRounds: number
  /** Transactions in one block of the DAG, in bytes. */
  readonly payloadBytesMax: number
  /** What one chain block holds beside its gas limit; the rest of a round goes into further ones. */
  readonly blockBytesMax: number
  readonly blockTransactionsMax: number
  /** A chain block without content is made when consensus time enters the next so many slots. */
  readonly heartbeatSlots: number
}

/** Weights are parts of the sum of all weights beside them. Governance may change weights. */
export interface Economy {
  /** Most tokens there will ever be, in wei: those of genesis and all that are issued later. */
  readonly supplyCap: bigint
  /** What is issued for each era of the first year, in wei. */
  readonly firstEraIssuance: bigint
  readonly erasPerYear: number
  /** What each further year issues of the year before, until the next halving. */
  readonly yearlyDecayPermille: number
  /** At each of these, issuance is set to half of what it was at the one before. */
  readonly yearsPerHalving: number
  readonly issuanceWeights: { readonly validators: number; readonly miners: number; readonly community: number }
  readonly rentWeights: { readonly miners: number; readonly community: number; readonly burn: number }
}

/** How the DAO decides: what its contracts are made with in the first chain block. */
export interface GovernanceRules {
  /** From a proposal to the start of its vote, and the length of that. */
  readonly votingDelaySeconds: number
  readonly votingPeriodSeconds: number
  /** From a decision to its execution: time to leave for whoever disagrees. */
  readonly timelockSeconds: number
  /** Votes that one needs to propose, in wei of the wrapped token. */
  readonly proposalThreshold: bigint
  /** Votes for or abstaining without which nothing is decided, in parts per million of all tokens. */
  readonly quorumPpm: number
}

export interface StakingRules {
  /** Own stake, in wei, below which nobody stands as a candidate. Governance may change it. */
  readonly minSelfStake: bigint
  /** Least that may be bonded, in wei. */
  readonly minBond: bigint
  /** Eras from unbonding to withdrawal: as long as a misdeed can still be punished. */
  readonly unbondingEras: number
  /** Eras in jail after a provable misdeed. */
  readonly jailEras: number
}

/** How stored data are proven, paid and punished for. Shares are in basis points: 10,000 = all. */
export interface AuditRules {
  /** S: sectors of 30 bytes in one block of a fragment. A tag stands for one block. */
  readonly sectorCount: number
  /** c: blocks of one challenge, at most 256: they are counted off in one word. */
  readonly challengedCount: number
  /** Slots in which a challenge is to be answered. Challenges are issued in the rest of an epoch, so most end with it. */
  readonly windowSlots: number
  /** Most miners that one chain block looks at for a challenge, closes for lateness, and whose proofs it verifies. */
  readonly challengesPerBlockMax: number
  readonly deadlinesPerBlockMax: number
  readonly proofsPerBlockMax: number
  /** Of the collateral limit: a wrong proof after a wrong proof, the second and each later missing one in a row. */
  readonly failurePenalty: number
  readonly missPenalty: number
  readonly laterMissPenalty: number
  /** Challenges missed in a row after which a miner is put out. */
  readonly missesToDeath: number
  /** What proven service data and proven idle space weigh in a miner's power. */
  readonly servicePower: number
  readonly idlePower: number
  /** Share of a reward that is free at once; the rest comes free evenly over `rewardLockEpochs`. */
  readonly rewardNow: number
  readonly rewardLockEpochs: number
  /** What a TEE worker deposits until it leaves, in wei. */
  readonly workerDeposit: bigint
  /** Longest time that one attestation holds. */
  readonly attestationEpochs: number
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

/**
 * 324,688 tokens an era for storage, half of it for validators, half the issuance every four years. The decay is
 * 2^(-1/4), so that no year stands out. All that is ever issued stays below 4.48 bn; the other 5.52 bn are genesis's.
 * Sources: CESS white paper §4.4 (cap, halving, yearly decay); CESS documentation, storage rewards (figure per era).
 */
const economy: Economy = {
  supplyCap: 10_000_000_000n * TOKEN,
  firstEraIssuance: 487_032n * TOKEN,
  // 365.25 days of four eras.
  erasPerYear: 1_461,
  yearlyDecayPermille: 841,
  yearsPerHalving: 4,
  issuanceWeights: { validators: 1, miners: 2, community: 0 },
  rentWeights: { miners: 70, community: 20, burn: 10 },
}

const audit: AuditRules = {
  // Nine blocks of 983,040 bytes for a fragment of 8 MiB; a proof takes about a second, a check 18 ms in a batch.
  sectorCount: 32_768,
  challengedCount: 100,
  windowSlots: 10,
  challengesPerBlockMax: 16,
  deadlinesPerBlockMax: 32,
  proofsPerBlockMax: 32,
  failurePenalty: 500,
  missPenalty: 500,
  laterMissPenalty: 1_500,
  missesToDeath: 5,
  servicePower: 9_500,
  idlePower: 500,
  rewardNow: 5_000,
  // 90 days
  rewardLockEpochs: 90 * 24,
  workerDeposit: 1_000n * TOKEN,
  // 30 days
  attestationEpochs: 30 * 24,
}

const order: OrderRules = {
  waveLength: 4,
  // 6 s at 25 ms a round. With 4 members, at worst 256 MiB in memory.
  gcDepthRounds: 256,
  payloadBytesMax: 256 * KiB,
  blockBytesMax: 4 * MiB,
  // About a quarter of a second of transfers.
  blockTransactionsMax: 1_000,
  heartbeatSlots: 1,
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
  // Half a full block every 6 s: at that spacing this is EIP-1559.
  gasPerSecond: 5_000_000n,
  order,
  economy,
  staking: { minSelfStake: 3_000_000n * TOKEN, minBond: 100n * TOKEN, unbondingEras: 28, jailEras: 28 },
  governance: {
    votingDelaySeconds: 86_400,
    votingPeriodSeconds: 7 * 86_400,
    timelockSeconds: 2 * 86_400,
    proposalThreshold: 100_000n * TOKEN,
    quorumPpm: 10_000,
  },
  audit,
}

/** Local networks: the data plane of `mainnet`, a clock that is quicker, small stakes, a faucet. */
export const dev: Params = {
  ...mainnet,
  name: 'dev',
  chainId: 27_102,
  slotMs: 1_000,
  slotsPerEpoch: 30,
  epochsPerEra: 6,
  stakePerUnit: TOKEN / 100n,
  pricePerGiBEpoch: TOKEN / 1_000_000n,
  // A stripe that is reserved and not filled locks space on twelve miners: a local network has little.
  reservationStripesMax: 64,
  reservationEpochs: 20,
  graceEpochs: 200,
  faucetGrant: 1_000n * TOKEN,
  // Who loads a local network wants to see what it can do, not what it would cost.
  gasPerSecond: 250_000_000n,
  staking: { ...mainnet.staking, minSelfStake: 1_000n * TOKEN, minBond: TOKEN },
  // A faucet's worth of votes decides, in a minute.
  governance: {
    votingDelaySeconds: 1,
    votingPeriodSeconds: 60,
    timelockSeconds: 1,
    proposalThreshold: TOKEN,
    quorumPpm: 1,
  },
  order: { ...order, heartbeatSlots: 2 },
  // Twelve miners prove once an epoch within about a tenth of a core. A machine that stalls for seconds is not late.
  audit: {
    ...audit,
    sectorCount: 8_192,
    challengedCount: 20,
    windowSlots: 15,
    // Whoever kills miners to see what happens has two hours to start them again, and pays little.
    missPenalty: 5,
    laterMissPenalty: 15,
    missesToDeath: 240,
    workerDeposit: 0n,
    // 30 days
    attestationEpochs: 30 * 24 * 120,
  },
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
  reservationEpochs: 60,
  graceEpochs: 600,
  staking: { ...dev.staking, unbondingEras: 4, jailEras: 2 },
  // Three blocks of 1,920 bytes for a fragment.
  order: { ...dev.order, gcDepthRounds: 64 },
  audit: {
    ...audit,
    sectorCount: 64,
    challengedCount: 8,
    windowSlots: 3,
    workerDeposit: 0n,
    attestationEpochs: dev.audit.attestationEpochs,
  },
}

export const presets: Readonly<Record<PresetName, Params>> = { mainnet, dev, minimal }

/** @throws RangeError if no preset bears this name */
export function preset(name: string): Params {
  if (name !== 'mainnet' && name !== 'dev' && name !== 'minimal') {
    throw new RangeError(`no preset "${name}": choose mainnet, dev or minimal`)
  }
  return presets[name]
}
