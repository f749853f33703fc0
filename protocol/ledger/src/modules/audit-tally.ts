import { equalBytes, utf8Encode } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import type { Log } from '../vm/vm.ts'
import { audit } from './audit.ts'
import { teeWorkers } from './tee-workers.ts'

/** How often something came of a proof or of a quote. */
export interface AuditTally {
  passed: number
  failed: number
  missed: number
  void: number
  /** Votes of members on quotes of TEE workers. */
  quotesAccepted: number
  quotesRefused: number
}

const topicOf = (signature: string): Uint8Array => keccak256(utf8Encode(signature))

const OUTCOMES = [
  ['passed', topicOf('ProofPassed(address,uint64)')],
  ['failed', topicOf('ProofFailed(address,uint64,uint8)')],
  ['missed', topicOf('ProofMissed(address,uint64)')],
  ['void', topicOf('ChallengeVoided(address,uint64)')],
] as const
const VOTED = topicOf('AttestationVoted(address,address,bytes32,bool)')

/** What the logs of a block say of proofs and quotes: for whoever counts them. Logs of others cost a comparison each. */
export function tallyAudits(logs: Iterable<Log>): AuditTally {
  const tally = { passed: 0, failed: 0, missed: 0, void: 0, quotesAccepted: 0, quotesRefused: 0 }
  for (const { address, topics, data } of logs) {
    const [topic] = topics
    if (!topic) continue
    if (address === audit.address) {
      for (const [outcome, known] of OUTCOMES) if (equalBytes(topic, known)) tally[outcome]++
    } else if (address === teeWorkers.address && equalBytes(topic, VOTED)) {
      // quote hash 32 ‖ verdict 32
      tally[data.at(-1) === 1 ? 'quotesAccepted' : 'quotesRefused']++
    }
  }
  return tally
}
