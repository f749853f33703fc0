import { compileAll, writeArtifacts } from './artifacts.ts'
import { writeInterfaces } from './interfaces.ts'

// Interfaces first: contracts import them.
writeInterfaces()
writeArtifacts(compileAll())
