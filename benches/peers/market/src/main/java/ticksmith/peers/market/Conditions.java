package ticksmith.peers.market;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.DayOfWeek;
import java.time.Instant;
import java.time.ZoneId;
import java.time.ZonedDateTime;
import java.util.HashMap;
import java.util.Map;

/** Sale conditions after config/sale_conditions.csv, policy `sip`; holidays are not known here. */
public final class Conditions {
    private static final ZoneId NEW_YORK = ZoneId.of("America/New_York");
    private static final long SLOT_MS = 30 * 60 * 1000L;

    private final Map<String, Integer> inside = new HashMap<>();
    private final Map<String, Integer> outside = new HashMap<>();
    private long slot = Long.MIN_VALUE;
    private boolean regular;

    public Conditions() {
        var stream = Conditions.class.getResourceAsStream("/sale_conditions.csv");
        try (var lines = new BufferedReader(new InputStreamReader(stream, StandardCharsets.UTF_8))) {
            lines.lines().filter(line -> !line.isEmpty() && Character.isDigit(line.charAt(0))).forEach(this::take);
        } catch (IOException problem) {
            throw new UncheckedIOException(problem);
        }
    }

    private void take(String line) {
        String[] cells = line.split(",");
        inside.put(cells[0], rights(cells, true));
        outside.put(cells[0], rights(cells, false));
    }

    private static int rights(String[] cells, boolean regular) {
        int rights = switch (cells[2]) {
            case "yes" -> Rights.LAST;
            case "only" -> Rights.LAST_IF_NO_OTHER;
            case "outside" -> regular ? 0 : Rights.LAST;
            default -> 0;
        };
        boolean highLow = cells[3].equals("yes") || cells[3].equals("outside") && !regular;
        return rights | (highLow ? Rights.HIGH_LOW : 0) | (cells[4].equals("no") ? 0 : Rights.VOLUME);
    }

    /** Codes separated by commas, or null; a symbol with `:` is no US stock, and there every trade counts. */
    public int judge(String symbol, String codes, double volume, long time) {
        if (symbol.indexOf(':') >= 0) return Rights.ALL;
        int rights = Rights.ALL;
        if (codes != null) {
            Map<String, Integer> table = isRegular(time) ? inside : outside;
            for (int from = 0; from <= codes.length(); ) {
                int comma = codes.indexOf(',', from);
                int to = comma < 0 ? codes.length() : comma;
                rights = Rights.and(rights, table.getOrDefault(codes.substring(from, to), Rights.VOLUME));
                from = to + 1;
            }
        }
        // A price update means nothing on the tape.
        return volume == 0 ? rights & Rights.VOLUME : rights;
    }

    private boolean isRegular(long time) {
        long asked = Math.floorDiv(time, SLOT_MS);
        if (asked != slot) {
            slot = asked;
            ZonedDateTime local = Instant.ofEpochMilli(time).atZone(NEW_YORK);
            int minute = local.getHour() * 60 + local.getMinute();
            boolean weekend = local.getDayOfWeek().compareTo(DayOfWeek.SATURDAY) >= 0;
            regular = !weekend && minute >= 9 * 60 + 30 && minute < 16 * 60;
        }
        return regular;
    }
}
