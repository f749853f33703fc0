import {
  address,
  bytes,
  bytes32,
  type ContextOf,
  cell,
  dict,
  module,
  struct,
  u8,
  u16,
  u32,
  u64,
  u256,
} from '../framework/index.ts'

/**
 * Answered: the proof is in the queue and counts, whenever its turn comes. Void: nothing was left to prove, or nothing to
 * check it by; it counts neither way.
 */
export const challengeState = { none: 0, open: 1, passed: 2, failed: 3, missed: 4, answered: 5, void: 6 } as const

/** Why a proof failed, and what a miner was punished for. */
export const proofFailure = { wrong: 1, malformed: 2 } as const
export const penaltyCause = { failed: 1, missed: 2 } as const

export const definition = module({
  name: 'Audit',
  address: '0x0000000000000000000000000000000000000c08',
  about: 'Challenges miners to prove what they store, pays those that do, and punishes those that do not.',
  structs: [
    'struct Challenge { address miner; address worker; bytes32 seed; bytes32 entriesDigest; uint32 entryCount; uint64 issuedAtBlock; uint64 deadlineMs; uint64 epoch; uint8 state; }',
  ],
  storage: {
    /** Consensus time 0, in seconds. */
    genesisTime: cell(u64),
    challenges: dict(
      address,
      struct({
        worker: address,
        state: u8,
        entryCount: u16,
        issuedAtBlock: u64,
        deadlineMs: u64,
        epoch: u64,
        seed: bytes32,
        entriesDigest: bytes32,
      }),
    ),
    records: dict(
      address,
      struct({ failedInRow: u32, missedInRow: u32, passed: u32, failed: u32, missed: u32, lastPassedEpoch: u64 }),
    ),
    /** Challenges in the order in which they end. An entry whose challenge has another block is over and done with. */
    deadlines: dict(u64, struct({ miner: address, issuedAtBlock: u64 })),
    deadlinesFrom: cell(u64),
    deadlinesTo: cell(u64),
    /** Proofs that wait to be verified, in the order in which they came; and what they consist of. */
    answers: dict(u64, address),
    answersFrom: cell(u64),
    answersTo: cell(u64),
    answerOf: dict(address, struct({ dropped: u256, cost: u256, entries: bytes, proof: bytes })),
    /** Of the epoch that runs: the order in which miners have their turn, and how many had it. */
    rotation: struct({ epoch: u64, count: u32, first: u32, step: u32, done: u32 }),
    /** By era: the sums of all miners' points, and of what accepted proofs cost them. */
    eraPoints: dict(u64, u256),
    eraCosts: dict(u64, u256),
    rewards: dict(
      address,
      struct({
        /** Entries of `earned`, and those of them that are settled; the same of `vestings`, and those that are over. */
        earnedCount: u32,
        settledCount: u32,
        vestingCount: u32,
        endedCount: u32,
        /** Of the vestings that run: the sum of their amounts, and of amount · first epoch. */
        vestingAmount: u256,
        vestingMoment: u256,
        /** Free, whether taken or not: shares paid at once, and vestings that are over. */
        freed: u256,
        /** Of what is free: what has been paid, or has paid debts. */
        taken: u256,
        paid: u256,
      }),
    ),
    /** By miner and number: eras in which it earned, its points, and what its proofs cost, until that is settled. */
    earned: dict(address, dict(u32, struct({ era: u64, points: u256, costs: u256 }))),
    /** By miner and number: rewards that come free over time. */
    vestings: dict(address, dict(u32, struct({ amount: u256, fromEpoch: u64 }))),
  },
  events: {
    TagsConfirmed: 'event TagsConfirmed(uint32 indexed group, uint8 indexed seat, address indexed miner, uint32 count)',
    LossReported:
      'event LossReported(uint32 indexed group, uint8 indexed seat, address indexed miner, uint32 firstStripe, uint256 stripes)',
    Challenged:
      'event Challenged(address indexed miner, address indexed worker, uint64 indexed epoch, bytes32 seed, bytes entries, uint64 deadlineMs)',
    ProofPassed: 'event ProofPassed(address indexed miner, uint64 indexed epoch)',
    ProofFailed: 'event ProofFailed(address indexed miner, uint64 indexed epoch, uint8 code)',
    ProofMissed: 'event ProofMissed(address indexed miner, uint64 indexed epoch)',
    ChallengeVoided: 'event ChallengeVoided(address indexed miner, uint64 indexed epoch)',
    Penalised: 'event Penalised(address indexed miner, uint64 indexed epoch, uint256 amount, uint8 cause)',
    Rewarded: 'event Rewarded(address indexed miner, uint64 indexed era, uint256 nowAmount, uint256 lockedAmount)',
    RewardClaimed: 'event RewardClaimed(address indexed miner, address indexed to, uint256 amount)',
  },
  errors: {
    NotChallenged: 'error NotChallenged(uint8 state)',
    TooLate: 'error TooLate(uint64 deadlineMs)',
    OtherChallenge: 'error OtherChallenge(bytes32 seed)',
    WrongEntries: 'error WrongEntries(bytes32 expectedDigest)',
    NotReleased: 'error NotReleased(uint32 entry)',
    BadProof: 'error BadProof(uint32 length)',
    NothingToClaim: 'error NothingToClaim()',
  },
})

/** What the handlers of the Audit module, and the files it is made of, are given. */
export type C = ContextOf<typeof definition>
