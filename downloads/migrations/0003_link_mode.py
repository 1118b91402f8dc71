from django.db import migrations, models

MODES = [("download", "download"), ("strm", ".strm file")]


class Migration(migrations.Migration):
    dependencies = [
        ("downloads", "0002_bulk_limits_contents"),
    ]

    operations = [
        migrations.AddField(
            model_name="feed",
            name="mode",
            field=models.CharField(
                choices=MODES,
                default="download",
                help_text="«strm»: its links become .strm files that play them, instead of being downloaded.",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="link",
            name="mode",
            field=models.CharField(
                choices=MODES,
                default="download",
                help_text="What is made of it.",
                max_length=10,
            ),
        ),
        migrations.AddConstraint(
            model_name="feed",
            constraint=models.CheckConstraint(
                condition=models.Q(("mode__in", ["download", "strm"])), name="feed_mode_is_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="link",
            constraint=models.CheckConstraint(
                condition=models.Q(("mode__in", ["download", "strm"])), name="link_mode_is_known"
            ),
        ),
    ]
