/** The named zones that servers started here know: of either hemisphere, with an hour of summer time or half of one. */
const zones = ['America/New_York', 'Australia/Lord_Howe', 'Europe/Berlin']

const begin = Date.UTC(1990, 0) / 1000
const end = Date.UTC(2038, 0) / 1000
const step = 28 * 86_400

/**
 * SQL that fills a server's time zone tables. Node.js brings the rules; the server's own tool would need the
 * machine's zone files and is packaged elsewhere with each version.
 */
export function timeZoneStatements(): string {
  return zones
    .flatMap((name, index) => {
      const id = index + 1
      const offsets = offsetsOf(name)
      const types = [...new Set(offsets.map(({ offset }) => offset))].sort((a, b) => a - b)
      return [
        `insert into time_zone (time_zone_id, use_leap_seconds) values (${id}, 'N');`,
        `insert into time_zone_name (name, time_zone_id) values ('${name}', ${id});`,
        ...types.map(
          (offset, type) =>
            `insert into time_zone_transition_type (time_zone_id, transition_type_id, \`offset\`, is_dst, abbreviation)
              values (${id}, ${type}, ${offset}, ${type}, '');`,
        ),
        ...offsets.map(
          ({ since, offset }) =>
            `insert into time_zone_transition (time_zone_id, transition_time, transition_type_id)
              values (${id}, ${since}, ${types.indexOf(offset)});`,
        ),
      ]
    })
    .join('\n')
}

/** The zone's offsets from UTC, each with the moment it begins; all in seconds. */
function offsetsOf(name: string): { since: number; offset: number }[] {
  // Swedes write dates as ISO 8601 does.
  const format = new Intl.DateTimeFormat('sv', { timeZone: name, dateStyle: 'short', timeStyle: 'medium' })
  const offsetAt = (time: number) => Date.parse(`${format.format(time * 1000)}Z`) / 1000 - time
  const found = [{ since: begin, offset: offsetAt(begin) }]
  for (let time = begin; time < end; time += step) {
    if (offsetAt(time) === offsetAt(time + step)) continue
    let before = time
    let since = time + step
    while (since - before > 1) {
      const middle = Math.floor((before + since) / 2)
      if (offsetAt(middle) === offsetAt(time)) before = middle
      else since = middle
    }
    found.push({ since, offset: offsetAt(since) })
  }
  return found
}
