import type { Server } from '../test/support/servers/index.js'
import { type Contender, type ContenderKind, type ContenderName, FLOOR } from './contenders/contender.js'
import { measureInRounds } from './measure.js'
import type { OperationName } from './operations.js'
import type { Options } from './options.js'
import { type Measurement, summarise } from './results.js'
import { withDatabase } from './servers.js'

/** Told what has been measured. */
export interface Progress {
  /** Some contenders were measured at one operation. */
  measured(measurements: readonly Measurement[]): void
}

/** Measures all contenders at all operations on one server, each in a database of its own. */
export async function contest(
  server: Server,
  kinds: readonly ContenderKind[],
  options: Options,
  progress: Progress,
): Promise<Measurement[]> {
  return withDatabases(server, kinds, async (urls) => {
    const measurements: Measurement[] = []
    for (const callers of options.callers) {
      const contenders = new Map<ContenderName, Contender>()
      for (const kind of kinds) contenders.set(kind.name, await kind.open(urls.get(kind.name) as string, callers))
      for (const { name: operation } of options.operations) {
        const measured = await compare(server.name, contenders, operation, callers, options)
        progress.measured(measured)
        measurements.push(...measured)
      }
      for (const contender of contenders.values()) await contender.close()
    }
    return measurements
  })
}

async function compare(
  server: string,
  contenders: ReadonlyMap<ContenderName, Contender>,
  operation: OperationName,
  callers: number,
  { effort }: Options,
): Promise<Measurement[]> {
  const entrants = [...contenders].flatMap(([name, { works }]) => {
    const work = works[operation]
    return work === undefined ? [] : [{ name, work }]
  })
  const slices = await measureInRounds(entrants, callers, effort)
  const floor = slices.get(FLOOR)
  return [...slices].map(([contender, own]) =>
    summarise({ server, operation, callers, contender }, own, contender === FLOOR ? undefined : floor),
  )
}

async function withDatabases<T>(
  server: Server,
  kinds: readonly ContenderKind[],
  work: (urls: ReadonlyMap<ContenderName, string>) => Promise<T>,
  urls: ReadonlyMap<ContenderName, string> = new Map(),
): Promise<T> {
  const [kind, ...others] = kinds
  if (kind === undefined) return work(urls)
  return withDatabase(server, kind.name, async (url) => {
    await kind.setUp(url)
    return withDatabases(server, others, work, new Map([...urls, [kind.name, url]]))
  })
}
