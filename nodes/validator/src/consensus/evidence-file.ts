import { appendFile, readFile } from 'node:fs/promises'
import type { DoubleVote } from '@cumulus/certificate'
import type { Evidence } from '@cumulus/r2s'

/** Why a member is to be punished, as plain JSON. */
export interface EvidenceRecord {
  readonly kind: 'equivocation' | 'double-vote'
  readonly member: number
  /** Round of the order, or height of the chain. */
  readonly place: string
  readonly foundAtMs: number
  /** Hex of what proves it. */
  readonly proof: Readonly<Record<string, string>>
}

export function equivocationRecord(evidence: Evidence, foundAtMs: number): EvidenceRecord {
  const { author, round, firstDigest, firstSignature, secondDigest, secondSignature } = evidence
  const proof = {
    firstDigest: firstDigest.toHex(),
    firstSignature: firstSignature.toHex(),
    secondDigest: secondDigest.toHex(),
    secondSignature: secondSignature.toHex(),
  }
  return { kind: 'equivocation', member: author, place: String(round), foundAtMs: Math.floor(foundAtMs), proof }
}

export function doubleVoteRecord({ member, votes: [first, second] }: DoubleVote, foundAtMs: number): EvidenceRecord {
  const proof = {
    firstHash: first.headerHash.toHex(),
    firstSignature: first.signature.toHex(),
    secondHash: second.headerHash.toHex(),
    secondSignature: second.signature.toHex(),
  }
  return { kind: 'double-vote', member, place: first.height.toString(), foundAtMs: Math.floor(foundAtMs), proof }
}

/** One of each kind for each member is proof enough. */
const RECORDS_MAX = 64

/** What was found against members of the committee, one JSON object a line. Kept for ever; at most two lines for each member. */
export class EvidenceFile {
  readonly #path: string
  readonly #records: EvidenceRecord[]
  #writing: Promise<void> = Promise.resolve()

  private constructor(path: string, records: EvidenceRecord[]) {
    this.#path = path
    this.#records = records
  }

  static async open(path: string): Promise<EvidenceFile> {
    let text = ''
    try {
      text = await readFile(path, 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    return new EvidenceFile(path, text.split('\n').slice(0, RECORDS_MAX).flatMap(parsed))
  }

  get records(): readonly EvidenceRecord[] {
    return this.#records
  }

  /** @returns whether it is the first of its kind against that member */
  add(record: EvidenceRecord): boolean {
    const isKnown = this.#records.some(({ kind, member }) => kind === record.kind && member === record.member)
    if (isKnown || this.#records.length >= RECORDS_MAX) return false
    this.#records.push(record)
    this.#writing = this.#writing.then(() => appendFile(this.#path, `${JSON.stringify(record)}\n`))
    this.#writing.catch(() => {})
    return true
  }

  /** Resolves when all is written. */
  async flush(): Promise<void> {
    await this.#writing
  }
}

/** A line that a crash cut short is left out; whoever did it will be found again. */
function parsed(line: string): EvidenceRecord[] {
  try {
    const record = JSON.parse(line)
    return typeof record === 'object' && record !== null && Number.isInteger(record.member) ? [record] : []
  } catch {
    return []
  }
}
