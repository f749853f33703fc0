import { describe } from 'node:test'
import { objectLayerSuite } from '../object-layer-suite.ts'
import { MemoryObjects } from './memory-objects.ts'

describe('the object layer in memory', () => objectLayerSuite(async () => ({ objects: new MemoryObjects() })))
