import type { GossipsubOpts } from '@libp2p/gossipsub'
import { createPeerScoreParams, createPeerScoreThresholds, createTopicScoreParams } from '@libp2p/gossipsub/score'

/**
 * How neighbours are judged (gossipsub v1.1). One invalid message costs 20, two 80, three 180, because the count is
 * squared; below -60 a neighbour is not listened to any more until a few minutes have passed. Whoever delivers little is
 * not punished: chains are quiet at night.
 */
export function gossipScores(topics: readonly string[]): Pick<GossipsubOpts, 'scoreParams' | 'scoreThresholds'> {
  const topic = createTopicScoreParams({
    topicWeight: 1,
    timeInMeshWeight: 0.01,
    timeInMeshQuantum: 1_000,
    timeInMeshCap: 300,
    firstMessageDeliveriesWeight: 0.1,
    firstMessageDeliveriesDecay: 0.9,
    firstMessageDeliveriesCap: 100,
    meshMessageDeliveriesWeight: 0,
    meshFailurePenaltyWeight: 0,
    invalidMessageDeliveriesWeight: -20,
    // A tenth is left after four minutes.
    invalidMessageDeliveriesDecay: 0.99,
  })
  return {
    scoreParams: createPeerScoreParams({
      topics: Object.fromEntries(topics.map((name) => [name, topic])),
      topicScoreCap: 20,
      behaviourPenaltyWeight: -10,
      behaviourPenaltyThreshold: 6,
      behaviourPenaltyDecay: 0.9,
      // Local networks share one address.
      IPColocationFactorWeight: -5,
      IPColocationFactorThreshold: 10,
      IPColocationFactorWhitelist: new Set(['127.0.0.1', '::1']),
      retainScore: 3_600_000,
      decayInterval: 1_000,
      decayToZero: 0.01,
    }),
    scoreThresholds: createPeerScoreThresholds({
      gossipThreshold: -15,
      publishThreshold: -30,
      graylistThreshold: -60,
    }),
  }
}
