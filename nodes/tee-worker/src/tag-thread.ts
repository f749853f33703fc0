import { constants, setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import { keyGen, Tagger } from '@cumulus/podr2'
import type { TagAnswer, TagQuestion, TagThreadInit } from './tag-protocol.ts'
import { SegmentTagger } from './tag-segment.ts'

// A thread that tags. On Linux a priority is a thread's own: this one takes what the others leave.
try {
  setPriority(0, constants.priority.PRIORITY_LOW)
} catch {
  // Not allowed here: slower neighbours, and nothing else.
}

const { seed, params } = workerData as TagThreadInit
const tagger = new SegmentTagger(new Tagger(keyGen(seed), params), params)
seed.fill(0)

parentPort!.on('message', (question: TagQuestion | 'stop') => {
  if (question === 'stop') return parentPort!.close()
  const answer = answerTo(question)
  parentPort!.postMessage(answer, 'tags' in answer ? [answer.tags.buffer] : [])
})

function answerTo(question: TagQuestion): TagAnswer {
  const { id } = question
  try {
    const result = tagger.tag(question)
    return result ? { id, ...result } : { id, refusal: 'inconsistent' }
  } catch (error) {
    return { id, failure: (error as Error).message }
  }
}
