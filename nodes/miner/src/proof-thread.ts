import { constants, setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import {
  blockBytes,
  type Challenge,
  challengeOver,
  decodePowers,
  decodeTaggerKey,
  ProofBuilder,
  TAG_BYTES,
  TagCheck,
  type TaggerKey,
  trustedDecodePowers,
  verify,
  withoutEntries,
} from '@cumulus/podr2'
import { type ProofAnswer, type ProofQuestion, TAGGERS_MAX, type TaggerRef } from './proof-protocol.ts'

// The thread in which a miner proves and checks tags. On Linux a priority is a thread's own: data come first.
try {
  setPriority(0, constants.priority.PRIORITY_LOW)
} catch {
  // Not allowed here: slower neighbours, and nothing else.
}

type Powers = ReturnType<typeof trustedDecodePowers>

const powersOf = new Map<string, Powers>()
const keys = new Map<string, TaggerKey>()

type Task = { readonly sectorBytes: number } & (
  | { readonly what: 'proof'; readonly builder: ProofBuilder; readonly challenge: Challenge }
  | { readonly what: 'check'; readonly builder: TagCheck }
)
let task: Task | undefined

parentPort!.on('message', (message: { id: number; question: ProofQuestion } | 'stop') => {
  if (message === 'stop') return parentPort!.close()
  const { id, question } = message
  let answer: ProofAnswer
  try {
    answer = { id, result: answerTo(question) }
  } catch (error) {
    const { code = 'INTERNAL', message } = error as { code?: string; message: string }
    answer = { id, failure: { code, message } }
  }
  parentPort!.postMessage(answer)
})

function answerTo(question: ProofQuestion): Uint8Array | boolean | undefined {
  switch (question.op) {
    case 'powers': {
      const { tagger, bytes, isChecked, sectorCount } = question
      const name = tagger.powersHash.toHex()
      if (powersOf.has(name)) return undefined
      const powers = isChecked
        ? trustedDecodePowers(bytes, sectorCount)
        : decodePowers(bytes, keyOf(tagger), sectorCount)
      forgetOldest(powersOf)
      powersOf.set(name, powers)
      return undefined
    }
    case 'begin': {
      const { what, seed, places, dropped, params } = question
      const challenge = withoutEntries(challengeOver(seed, places, params), dropped)
      const sectorBytes = blockBytes(params)
      task =
        what === 'proof'
          ? { what, sectorBytes, challenge, builder: new ProofBuilder(challenge) }
          : { what, sectorBytes, builder: new TagCheck(challenge) }
      return undefined
    }
    case 'add': {
      const { index, count, bytes, tags } = question
      const { builder, sectorBytes } = running()
      for (let i = 0; i < count; i++) {
        const block = bytes.subarray(i * sectorBytes, (i + 1) * sectorBytes)
        builder.add(index + i, block, tags.subarray(i * TAG_BYTES, (i + 1) * TAG_BYTES))
      }
      return undefined
    }
    case 'finish': {
      const done = running()
      task = undefined
      const powers = powersOf.get(question.tagger.powersHash.toHex())
      if (!powers) throw new Error('the powers of this tagger are not here')
      const key = keyOf(question.tagger)
      if (done.what === 'check') return done.builder.holds({ key, powers })
      const proof = done.builder.finish(powers)
      // A wrong one that is sent counts as a failure of this miner, whoever's tag is to blame.
      if (verify({ proof, challenge: done.challenge, key }).ok) return proof
      throw Object.assign(new Error('the proof does not hold'), { code: 'PROOF_WRONG' })
    }
  }
}

function running(): Task {
  if (!task) throw new Error('no combination has begun')
  return task
}

function keyOf({ taggerKey, keyContext }: TaggerRef): TaggerKey {
  const name = `${taggerKey.toHex()}/${keyContext.toHex()}`
  let key = keys.get(name)
  if (!key) {
    key = decodeTaggerKey(taggerKey, keyContext)
    forgetOldest(keys)
    keys.set(name, key)
  }
  return key
}

function forgetOldest(map: Map<string, unknown>): void {
  if (map.size >= TAGGERS_MAX) map.delete(map.keys().next().value!)
}
